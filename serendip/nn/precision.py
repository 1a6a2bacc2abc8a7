"""Where mixed precision helps, and where not."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch


def whole_on_cpu(device: torch.device) -> AbstractContextManager[Any]:
    """On the processor no mixed precision within: small products gain less by it than it takes to cast for them."""
    return torch.autocast("cpu", enabled=False) if device.type == "cpu" else nullcontext()
