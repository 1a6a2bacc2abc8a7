"""The report: what was learned from, how well it does and for whom, as one page that needs nothing else."""

from serendip.report.facts import Facts, describe, recall
from serendip.report.page import render, write
from serendip.report.samples import Line, Sample, samples
from serendip.report.tuning import render_tuned

__all__ = ["Facts", "Line", "Sample", "describe", "recall", "render", "render_tuned", "samples", "write"]
