"""Finding the vectors with the highest inner product, exactly or nearly so, among those that are allowed.

`build` makes a `VectorIndex`; `Exact` is exact search alone. Libraries for approximate search are optional
(``serendip[index]``) and imported when they are needed.
"""

from serendip.index.building import build, unpack
from serendip.index.exact import Exact
from serendip.index.files import load, save
from serendip.index.index import VectorIndex
from serendip.index.stats import Options, Stats

__all__ = ["Exact", "Options", "Stats", "VectorIndex", "build", "load", "save", "unpack"]
