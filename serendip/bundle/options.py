"""Options of what a bundle is asked. The command line is described by them, so this file imports nothing heavy."""

from __future__ import annotations

from typing import Annotated

import msgspec


class Onboarding(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How questions to somebody new are chosen."""

    pool: Annotated[
        int, msgspec.Meta(ge=1, le=5000, description="How many items, the best known ones, may be asked about.")
    ] = 500
    recognisability: Annotated[
        float,
        msgspec.Meta(
            ge=0,
            le=4,
            description="ρ: how much it counts that people know an item, against what the answer tells; 0: not at all.",
        ),
    ] = 1.0
    noise: Annotated[
        float, msgspec.Meta(gt=0, le=100, description="σ²: variance of an answer beside what it is about.")
    ] = 0.02


__all__ = ["Onboarding"]
