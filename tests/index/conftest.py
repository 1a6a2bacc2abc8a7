"""Small indices of every kind, made to search approximately although exact search would be as fast."""

import numpy as np
import pytest

from serendip.index import Exact, Options, Stats
from serendip.index.building import ENGINES, LIBRARIES
from serendip.index.engine import installed
from serendip.index.index import fresh_index
from serendip.index.tuning import Point

N, D = 2000, 6
EFFORT = {
    "faiss_ivf": {"probes": 12, "looked_up": 60},
    "faiss_hnsw": {"breadth": 60},
    "scann": {"looked_up": 60},
}


def blobs(n=N, d=D, seed=0):
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((40, d))
    return (centres[rng.integers(0, 40, n)] + 0.5 * rng.standard_normal((n, d))).astype(np.float32)


def approximate(backend, vectors, effort=None, lowest=0.05):
    """An index that searches approximately wherever that share of items or more is allowed."""
    if backend in LIBRARIES and not installed(LIBRARIES[backend]):
        pytest.skip(f"{LIBRARIES[backend]} is not installed")
    exact = Exact(vectors, 1, precision="int8" if backend == "exact_int8" else "float32")
    engine = ENGINES[backend].build(exact.vectors, threads=1) if backend in ENGINES else None
    effort = effort or EFFORT.get(backend, {})
    curve = () if engine is None else tuple(Point(share, effort, 1.0, 1.0, 2.0) for share in (1.0, 0.3, lowest))
    n, d = vectors.shape
    return fresh_index(exact, engine, Stats(backend, Options(k=20), n, d, 1.0, 1.0, 2.0, 0.0, 0, "", curve))


@pytest.fixture(scope="session", params=["exact", "exact_int8", "faiss_ivf", "faiss_hnsw", "scann"])
def index(request):
    """An index of 2000 vectors, of which every hundredth cannot be recommended."""
    vectors = blobs()
    vectors[::100] = np.nan
    return approximate(request.param, vectors)
