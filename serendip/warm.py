"""How a fit begins with what another one learned, and what of it stays as it is. It needs PyTorch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from serendip.run import Start
from serendip.types import ABSENT, Ids, SerendipError

Side = Literal["user", "item"]
Fresh = NDArray[np.bool_]
"""``[n]`` for each code of a side, whether it is new."""


def rows_of(net: nn.Module) -> dict[str, Side]:
    """Which parameters have one row per user or per item: what the modules declare as ``per_user`` and ``per_item``."""
    found: dict[str, Side] = {}
    for path, module in net.named_modules(remove_duplicate=False):
        sides: tuple[Side, Side] = ("user", "item")
        for side in sides:
            for name in getattr(module, f"per_{side}", ()):
                found[f"{path}.{name}" if path else name] = side
    return found


def begin(net: nn.Module, start: Start) -> tuple[Fresh, Fresh]:
    """Let a module begin with what another one learned: what has the same name is taken over, rows by their ids.

    Returns:
        Which users and which items have no row of the other one.

    Raises:
        SerendipError: no name is the same, one is lacking here, or one stands for something of another shape.
    """
    sides, own = rows_of(net), net.state_dict()
    codes: Mapping[Side, Ids] = {"user": start.users, "item": start.items}
    known = {side: found != ABSENT for side, found in codes.items()}
    same = [name for name in own if name in start.tensors]
    if not same:
        raise SerendipError(
            f"a fit can go on from one whose parameters have the same names. That of {start.model} has "
            f"{', '.join(start.tensors)}; this one {', '.join(own)}."
        )
    lost = [name for name in start.tensors if name not in own]
    if lost:
        raise SerendipError(
            f"a fit can go on from one with all that it learned. That of {start.model} has {', '.join(lost)}, which "
            "this one lacks. Try its options."
        )
    with torch.no_grad():
        for name in same:
            value, old = own[name], start.tensors[name]
            side = sides.get(name)
            if side is None:
                _require(name, tuple(value.shape) == old.shape, value, old, start)
                value.copy_(torch.tensor(old))
                continue
            extra = len(value) - len(codes[side])
            _require(name, extra in (0, 1) and old.shape[1:] == tuple(value.shape[1:]), value, old, start)
            known[side] &= codes[side] < len(old) - extra
            rows = np.flatnonzero(known[side])
            value[torch.from_numpy(rows + extra)] = torch.tensor(old[codes[side][rows] + extra]).to(value.dtype)
            value[:extra] = torch.tensor(old[:extra]).to(value.dtype)
    return ~known["user"], ~known["item"]


def freeze(net: nn.Module, names: Sequence[str]) -> None:
    """Let parameters stay as they are: those of a group, which the net declares as ``groups``, or whose names begin so.

    Raises:
        SerendipError: a name with which none begins, or nothing that is left to learn.
    """
    parameters = dict(net.named_parameters(remove_duplicate=False))
    groups: Mapping[str, tuple[str, ...]] = getattr(net, "groups", {})
    for name in names:
        begins = groups.get(name, (name,))
        chosen = [parameter for full, parameter in parameters.items() if full.startswith(begins)]
        if not chosen:
            also = f"one of the groups {', '.join(groups)}, or " if groups else ""
            raise SerendipError(
                f"freeze must name {also}parameters by how they begin: {', '.join(parameters)}. Got {name!r} instead."
            )
        for parameter in chosen:
            parameter.requires_grad_(False)
    if not any(parameter.requires_grad for parameter in parameters.values()):
        hint = " Try the option adapter, which learns over them." if groups else ""
        raise SerendipError(f"freeze must leave something to learn. It names all of {', '.join(parameters)}.{hint}")


def _require(name: str, holds: bool, value: Tensor, old: NDArray[Any], start: Start) -> None:
    if not holds:
        raise SerendipError(
            f"a fit can go on from one whose parameters have the same shapes. {name} is {list(old.shape)} in that of "
            f"{start.model}, and {list(value.shape)} here. Try its options."
        )
