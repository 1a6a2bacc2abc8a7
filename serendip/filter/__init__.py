"""Which items may be shown, said in a small language: ``category in ["a", "b"] and price < 20``.

See `parse` for the language and `Filter` for what a parsed text can do.
"""

from serendip.filter.filter import Allowed, Filter, Unmet, parse
from serendip.filter.language import FilterError

__all__ = ["Allowed", "Filter", "FilterError", "Unmet", "parse"]
