"""`tune`: options chosen on a part held out of the training data; the test is never looked at."""

from serendip.tune.search import tune
from serendip.tune.tuned import Trial, Tuned

__all__ = ["Trial", "Tuned", "tune"]
