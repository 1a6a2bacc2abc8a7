"""How fast items are found, at which recall, and what filters cost."""

from __future__ import annotations

from benchmarks import index_rows
from benchmarks.harness import Topic


def measure(topic: Topic) -> None:
    """All rows of the topic."""
    index_rows.measure(topic)
