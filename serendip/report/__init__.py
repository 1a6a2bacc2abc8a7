"""The report: what was learned from, how well it does and for whom, as one page that needs nothing else."""

from serendip.report.facts import Facts, describe, recall
from serendip.report.page import render, write
from serendip.report.samples import Line, Sample, samples

__all__ = ["Facts", "Line", "Sample", "describe", "recall", "render", "samples", "write"]
