"""What is chosen, what is told of it, and what comes back from arrays and files that need not be trusted."""

import json

import msgspec
import numpy as np
import pytest

from serendip.index import Options, build, building, load, save, unpack
from serendip.index.tuning import tune
from serendip.types import SerendipError
from tests.index.conftest import EFFORT, approximate, blobs


def hidden(*missing):
    """`installed`, as if these libraries were not there."""
    return lambda module: module not in missing


@pytest.fixture
def small(monkeypatch):
    """``auto`` takes 2000 vectors for many, and any approximate search for a fast one."""
    monkeypatch.setattr("serendip.index.building.SMALL", 1000)
    monkeypatch.setattr("serendip.index.tuning.timed", lambda work, queries, count=30: 1.0 if _exact(work) else 0.5)


def _exact(work):
    return hasattr(work, "func") and work.func.__name__ == "search"


@pytest.mark.parametrize("backend", ["faiss_ivf", "faiss_hnsw", "scann"])
def test_tunes_to_the_recall_that_is_asked_for(small, backend):
    asked = Options(backend=backend, recall=0.9, k=10)
    index = build(blobs(), asked, queries=blobs(40, seed=4), threads=1)
    stats = index.stats
    assert (stats.backend, stats.asked, stats.items, stats.dimensions) == (backend, asked, 2000, 6)
    assert stats.note == ""
    assert 0.9 <= stats.recall <= 1
    assert [point.recall >= 0.9 for point in stats.curve] == [True] * len(stats.curve)
    assert len(stats.curve) >= 2
    assert stats.curve[0].share == 1
    assert stats.bytes > 2000
    assert (stats.ms, stats.exact_ms) == (0.5, 1.0)


def test_auto_is_exact_for_few(monkeypatch):
    assert build(blobs()).stats.backend == "exact"
    monkeypatch.setattr("serendip.index.building.SMALL", 1000)
    monkeypatch.setattr("serendip.index.building.installed", hidden("faiss", "scann"))
    stats = build(blobs()).stats
    assert stats.backend == "exact"
    assert stats.note == "faiss is not installed: searching exactly. Try: pip install 'serendip[index]'"


def test_auto_takes_what_is_installed(small, monkeypatch):
    assert build(blobs(), Options(k=10, recall=0.8)).stats.backend == "faiss_ivf"
    monkeypatch.setattr("serendip.index.building.installed", hidden("faiss"))
    assert build(blobs(), Options(k=10, recall=0.8)).stats.backend == "scann"
    monkeypatch.setattr("sys.platform", "darwin")
    assert building._choose("auto", 2000)[0] == "exact"
    assert building._choose("scann", 2000) == (
        "exact", "scann runs on Linux only: searching exactly. Try: faiss_ivf"
    )  # fmt: skip


def test_what_does_not_pay_is_left(monkeypatch):
    monkeypatch.setattr("serendip.index.tuning.timed", lambda work, queries, count=30: 1.0)
    stats = build(blobs(), Options(backend="faiss_ivf", k=10)).stats
    assert stats.backend == "exact"
    assert stats.note == (
        "faiss_ivf does not find 95% of the 10 best faster than exact search finds all: searching exactly"
    )
    assert build(blobs(500), Options(backend="faiss_ivf")).stats.note == (
        "faiss_ivf needs at least 1,000 vectors, there are 500: searching exactly"
    )


@pytest.mark.parametrize("backend", ["exact", "exact_int8", "faiss_ivf", "faiss_hnsw", "scann"])
@pytest.mark.parametrize("d", [6, 5])
def test_comes_back_from_arrays_and_from_files(tmp_path, backend, d):
    vectors = blobs(d=d)
    vectors[7] = np.nan
    index = approximate(backend, vectors)
    query = blobs(8, d, seed=2)
    again = unpack(vectors, *index.pack(), threads=1)
    np.testing.assert_array_equal(again.search(query, 10).items, index.search(query, 10).items)
    assert again.stats == index.stats
    changed = index.upsert(np.array([7, 3, 2000, 2001]), blobs(4, d, seed=3)).delete(np.array([0, 3, 2000]))
    save(changed, tmp_path / "index")
    for mapped in (True, False):
        back = load(tmp_path / "index", memory_map=mapped, threads=1)
        np.testing.assert_array_equal(back.search(query, 10).items, changed.search(query, 10).items)
        np.testing.assert_array_equal(back.vectors(), changed.vectors())
        assert (len(back), back.changed) == (len(changed), changed.changed)


def test_a_library_that_is_missing_where_it_is_loaded(monkeypatch):
    vectors = blobs()
    index = approximate("faiss_ivf", vectors)
    packed = index.pack()
    monkeypatch.setattr("serendip.index.building.installed", hidden("faiss"))
    back = unpack(vectors, *packed)
    assert back.engine is None
    assert back.lacking == "faiss is not installed: searching exactly. Try: pip install 'serendip[index]'"
    assert back.search(vectors[:1], 5).counts.tolist() == [5]
    monkeypatch.undo()
    there = unpack(vectors, *back.pack())
    assert (there.engine is None, there.lacking, there.stats) == (False, "", index.stats)


def broken(backend, name, change):
    index = approximate(backend, blobs())
    arrays, header = index.pack()
    arrays[name] = change(arrays[name].copy())
    return arrays, header


def put(where, value):
    def change(array):
        array[where] = value
        return array

    return change


@pytest.mark.parametrize(
    ("backend", "name", "change"),
    [
        ("faiss_ivf", "ids", put(5, 2000)),
        ("faiss_ivf", "ids", put(5, -1)),
        ("faiss_ivf", "sizes", put(0, 10**6)),
        ("faiss_ivf", "sizes", put(0, -1)),
        ("faiss_ivf", "codes", lambda a: a[:, 1:]),
        ("faiss_ivf", "centres", lambda a: a[:, 1:]),
        ("faiss_ivf", "centres", put((0, 0), np.nan)),
        ("faiss_ivf", "codebook", lambda a: a[1:]),
        ("faiss_hnsw", "neighbours", put(0, 2000)),
        ("faiss_hnsw", "neighbours", lambda a: a[1:]),
        ("faiss_hnsw", "levels", put(0, 0)),
        ("faiss_hnsw", "levels", put(0, 99)),
        ("faiss_hnsw", "entry", put(0, 2000)),
        ("scann", "codes", put((0, 0), 16)),
        ("scann", "codebook", lambda a: a[:, 1:]),
    ],
)
def test_refuses_arrays_that_reach_beyond(backend, name, change):
    with pytest.raises(SerendipError, match=r"The arrays of an index must .* Try: build it again."):
        unpack(blobs(), *broken(backend, name, change))


def test_refuses_links_that_leave_their_layer():
    def change(array):
        levels = approximate("faiss_hnsw", blobs()).engine.arrays["levels"]
        top, low = int(np.argmax(levels)), int(np.argmin(levels))
        start = int((64 + 32 * (levels[:top].astype(np.int64) - 1)).sum())
        array[start + 64] = low
        return array

    with pytest.raises(SerendipError, match="must have links within each layer"):
        unpack(blobs(), *broken("faiss_hnsw", "neighbours", change))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda stats: {**stats, "items": 3}, r"must be over the vectors it was built from, \[3, 6\]"),
        (lambda stats: {**stats, "backend": "magic"}, "The description of an index is not valid"),
        (
            lambda stats: {**stats, "curve": [{**stats["curve"][0], "effort": {"breadth": 3}}]},
            "how hard faiss_ivf looks",
        ),
        (lambda stats: {**stats, "curve": [{**stats["curve"][0], "effort": {"probes": -3}}]}, "efforts of 1 or more"),
        (lambda stats: {**stats, "backend": "exact"}, "must have no arrays"),
    ],
)
def test_refuses_another_description(change, said):
    vectors = blobs()
    arrays, header = approximate("faiss_ivf", vectors).pack()
    with pytest.raises(SerendipError, match=said):
        unpack(vectors, arrays, change(header))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda root: (root / "index.json").unlink(), "is no index"),
        (lambda root: (root / "vectors.npy").unlink(), "is no index"),
        (lambda root: (root / "vectors.npy").write_bytes(b"x"), "does not have the checksum"),
        (lambda root: (root / "index.json").write_text("{"), "is no index"),
        (lambda root: edited(root, format=9), "reads indices of format 1. Got 9"),
        (lambda root: edited(root, n=10), "must be about its 10 items"),
    ],
)
def test_refuses_a_damaged_folder(tmp_path, damage, said):
    root = save(build(blobs(), Options(backend="exact")), tmp_path / "index")
    damage(root)
    with pytest.raises(SerendipError, match=said):
        load(root)


def edited(root, **said):
    head = json.loads((root / "index.json").read_text())
    (root / "index.json").write_text(json.dumps({**head, **said}))


def test_does_not_write_over_anything(tmp_path):
    index = build(blobs(), Options(backend="exact"))
    save(index, tmp_path / "index")
    with pytest.raises(SerendipError, match=r"cannot be written: it exists already\. Try: another folder\."):
        save(index, tmp_path / "index")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index"]


@pytest.mark.parametrize(
    ("vectors", "queries", "said"),
    [
        (np.zeros((3, 2)), None, r"vectors must be float32 \[rows, d\]. Got float64 \[3, 2\]"),
        (np.full((3, 2), np.inf, np.float32), None, "must be finite, or NaN"),
        (np.zeros((3, 2), np.float32), np.zeros((3, 1), np.float32), r"queries must be float32 \[rows, 2\]"),
        ([1], None, r"vectors must be float32 \[rows, d\]. Got list"),
    ],
)
def test_refuses_other_vectors(vectors, queries, said):
    with pytest.raises(SerendipError, match=said):
        build(vectors, queries=queries)


def test_effort_that_cannot_reach_the_recall_is_none():
    vectors = blobs()
    index = approximate("faiss_ivf", vectors)

    class Blind:
        backend = "faiss_ivf"
        ladder = staticmethod(index.engine.ladder)

        @staticmethod
        def find(queries, k, effort, bits, share):
            return index.engine.find(-queries, k, EFFORT["faiss_ivf"], bits, share)

    assert tune(Blind(), index.exact, vectors[:20], index.exact.known, 10, 0.5) == []


def test_options_are_bounded():
    for wrong in ({"recall": 0}, {"recall": 1.5}, {"k": 0}, {"backend": "magic"}, {"nprobe": 3}):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(wrong, Options)


@pytest.mark.parametrize("wrong", [{"backend": "magic"}, {"recall": 1.5}, {"k": 0}])
def test_refuses_options_out_of_their_bounds(wrong):
    with pytest.raises(SerendipError, match=rf"index options: .*{next(iter(wrong))}.*The backends are auto, exact, "):
        build(np.zeros((3, 2), np.float32), Options(**wrong))
