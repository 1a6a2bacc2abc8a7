"""How fast rankers are: trained, against the specialists and what the machine allows; and asked about candidates."""

from __future__ import annotations

from benchmarks import rank_speed
from benchmarks.harness import Topic


def measure(topic: Topic) -> None:
    """All rows of the topic."""
    rank_speed.measure(topic)
