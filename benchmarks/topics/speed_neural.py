"""How fast models that learn by gradient descent are: against the specialists, and against what the machine allows.

A ratio is ours over the peer's examples a second, or the peer's seconds over ours, measured in turn on the same data
with two threads, the same batches and dimensions. Bounds are those of the matrix products that a step needs, at the
rate of bare ones measured in the same process.
"""

from __future__ import annotations

from benchmarks import sequence_speed, tower_speed
from benchmarks.harness import Topic


def measure(topic: Topic) -> None:
    """All rows of the topic."""
    tower_speed.measure(topic)
    sequence_speed.measure(topic)
