"""implicit's ALS, timed and judged in its own environment."""

import sys
import time

from implicit.als import AlternatingLeastSquares
from threadpoolctl import threadpool_limits

from benchmarks.peers.lists import quality, read, some


def trace(folder, options, iterations, cores, step=1, users=None):
    """Seconds so far and quality after every ``step`` iterations; the evaluation is not timed.

    What `fit` does before the first iteration (it takes the transpose) counts.

    Args:
        folder: a split as `lists.read` takes it.
        options: of implicit's model.
        iterations, cores: how many.
        step: how many iterations apart to judge.
        users: judge by so many users at most, drawn at random.
    """
    train, test = read(folder)
    test = some(test, users)
    model = AlternatingLeastSquares(**options, iterations=iterations, num_threads=cores)
    out = []

    def after(iteration, _seconds, _loss):
        nonlocal since, spent
        spent += time.perf_counter() - since
        if (iteration + 1) % step == 0:
            figures = quality(model.user_factors, model.item_factors, train, test)
            out.append({"iteration": iteration + 1, "seconds": spent, **figures})
        since = time.perf_counter()

    with threadpool_limits(1, "blas"):
        spent, since = 0.0, time.perf_counter()
        model.fit(train, show_progress=False, callback=after)
    return out


def search(folder, grid, iterations, cores, step, users):
    """The best figures that each of the options reaches, and after how many iterations; the best first."""
    tried = []
    for options in grid:
        found = trace(folder, options, iterations, cores, step, users)
        tried.append({"options": options, **max(found, key=lambda one: one["ndcg"])})
        print(tried[-1], file=sys.stderr, flush=True)
    return sorted(tried, key=lambda one: -one["ndcg"])
