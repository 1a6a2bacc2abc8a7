"""How fast the classics are: against the fastest specialist of each kind, and against what the machine allows.

A ratio is the peer's seconds over ours, measured in turn on the same data with two threads and equal quality. What a
kernel's bound is stands in its docstring; the rates it is held against are measured in the same run.
"""

from __future__ import annotations

from benchmarks import everyone, kernels, knn, learned, pairwise_jobs, svdpp
from benchmarks.harness import Topic


def measure(topic: Topic) -> None:
    """All rows of the topic."""
    for data, target in (("gowalla_lightgcn", 4.0), ("ml_1m", 2.5)):
        for neighbours in (20, 50, 200):
            knn.measure(topic, f"item_knn/{data}_k{neighbours}", data, neighbours, target)
    svdpp.measure(topic)
    for factors in (64, 256):
        everyone.measure(topic, factors, 5.0)
    kernels.measure(topic)
    for factors, target, repeats in ((64, 1.5, 2), (256, 1.5, 2), (512, 3.0, 1), (1024, 3.0, 1)):
        learned.ials(topic, factors, target, repeats)
    pairwise_jobs.measure(topic)
    learned.graph(topic, target=5.0, share=0.6)
