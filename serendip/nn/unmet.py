"""What training never meets says nothing: the vectors of codes that no example has begin, and so stay, at zero.

A table has rows for values to come, such as the buckets of a vocabulary; drawn at random like the others, and never
learned, they would move answers by chance.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from serendip.nn.embed import Features, Table


@torch.no_grad()
def silence(net: nn.Module, met: Mapping[str, NDArray[Any]]) -> None:
    """Set the rows of features' tables that training will not touch to zero.

    Args:
        net: a network before training.
        met: all codes that examples have, by the name of the feature. Tables of features that are not among them stay
            as they are.
    """
    tables: dict[int, tuple[Table, NDArray[np.bool_]]] = {}
    for part in net.modules():
        if not isinstance(part, Features):
            continue
        for one in part.inputs:
            if one.size is None:
                continue
            table = part.table_for(one)
            _, known = tables.setdefault(id(table), (table, np.zeros(table.size, np.bool_)))
            codes = met.get(one.name)
            known[slice(None) if codes is None else codes[(codes >= 0) & (codes < table.size)]] = True
    for table, known in tables.values():
        table.weight[1:][torch.from_numpy(~known).to(table.weight.device)] = 0


__all__ = ["silence"]
