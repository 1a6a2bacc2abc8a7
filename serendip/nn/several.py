"""Several optimisers as one, each over parameters of its own: say Adam for weights and a row-wise one for tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class Optimiser(Protocol):
    """What the training loop needs of an optimiser; PyTorch's have it."""

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """Options and parameters, as of `torch.optim.Optimizer`."""
        ...

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients."""
        ...

    def step(self) -> Any:
        """Take a step."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """``state`` by number of the parameter, and ``param_groups``."""
        ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The inverse of `state_dict`."""
        ...


class Several:
    """Optimisers whose parameters are numbered through, so that one `state_dict` holds the state of all."""

    def __init__(self, *parts: Optimiser) -> None:
        """They must not share parameters."""
        self.parts = parts

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """Those of all parts; what is changed in them counts."""
        return [group for part in self.parts for group in part.param_groups]

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parts."""
        for part in self.parts:
            part.zero_grad(set_to_none=set_to_none)

    def step(self) -> None:
        """A step of each part."""
        for part in self.parts:
            part.step()

    def state_dict(self) -> dict[str, Any]:
        """As that of one optimiser over all parameters, in the order of the parts."""
        state: dict[int, Any] = {}
        groups: list[dict[str, Any]] = []
        for first, part in self._numbered():
            found = part.state_dict()
            state |= {first + at: one for at, one in found["state"].items()}
            groups += [{**group, "params": [first + at for at in group["params"]]} for group in found["param_groups"]]
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`."""
        groups = iter(state_dict["param_groups"])
        for first, part in self._numbered():
            own = [next(groups) for _ in part.param_groups]
            size = _size(part)
            part.load_state_dict(
                {
                    "state": {at - first: one for at, one in state_dict["state"].items() if 0 <= at - first < size},
                    "param_groups": [{**group, "params": [at - first for at in group["params"]]} for group in own],
                }
            )

    def _numbered(self) -> list[tuple[int, Optimiser]]:
        """Each part with the number of its first parameter."""
        first, out = 0, []
        for part in self.parts:
            out.append((first, part))
            first += _size(part)
        return out


def _size(part: Optimiser) -> int:
    return sum(len(group["params"]) for group in part.param_groups)
