"""A bundle answers as its pipeline does, before and after it is saved, whatever happens to the one who saves it."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest

from serendip.bundle import Bundle, BundleError, ask, manifest
from serendip.data.dataset import Dataset
from serendip.data.schema import Schema
from serendip.pipeline import first_of, retrieve
from serendip.scorers import Factors, StaticScores
from serendip.types import SerendipError

from .conftest import DAY, ITEMS, SEEN, USERS, content_of, edit_json, forge, world

ROOT = Path(__file__).resolve().parents[2]


def by_hand(user: int) -> list[tuple[int, str]]:
    """Three items by taste (the user's mean vector), then the highest codes, all unseen."""
    data, stage = world()
    recs = stage(data.queries(data.user_ids.encode([user]), k=5))
    taste = recs.items[0, :3].tolist()
    rest = [code for code in range(11, -1, -1) if ITEMS[code] not in SEEN[user] and code not in taste]
    return [(ITEMS[code], "taste") for code in taste] + [(ITEMS[code], "popular") for code in rest[:2]]


def test_recommend_gives_a_table_with_external_ids(bundle: Bundle) -> None:
    frame = bundle.recommend([103, 101], k=5)
    assert frame.schema == pl.Schema(
        {
            "user_id": pl.Int64,
            "item_id": pl.Int64,
            "title": pl.String,
            "score": pl.Float32,
            "rank": pl.Int32,
            "source": pl.String,
        }
    )
    assert frame["user_id"].to_list() == [103] * 5 + [101] * 5
    assert frame["rank"].to_list() == [1, 2, 3, 4, 5] * 2
    for user in (103, 101):
        rows = frame.filter(user_id=user)
        assert list(zip(rows["item_id"], rows["source"], strict=True)) == by_hand(user)
    assert dict(zip(frame["item_id"], frame["title"], strict=True))[21] == "Title 21"


def test_seen_items_are_shown_only_if_asked_for(bundle: Bundle) -> None:
    for user, seen in SEEN.items():
        assert not set(bundle.recommend(user, k=12)["item_id"]) & set(seen)
        assert bundle.recommend(user, k=12).height == 12 - len(seen)
        assert bundle.recommend(user, k=12, exclude_seen=False).height == 12


def test_an_item_without_a_title_has_none(bundle: Bundle) -> None:
    assert bundle.recommend(104, allow=[14])["title"].to_list() == [None]


def test_without_titles_there_is_no_title_column() -> None:
    events = pl.DataFrame({"user_id": ["x", "y"], "item_id": [1, 2]})
    bare = Dataset.from_frames(events, schema=Schema())
    made = Bundle.build(bare, retrieve(StaticScores(np.array([1, 2], np.float32)), name="popular"))
    assert made.recommend().rows() == [("x", 2, 2.0, 1, "popular"), ("y", 1, 1.0, 1, "popular")]
    assert made.recommend().columns == ["user_id", "item_id", "score", "rank", "source"]


def test_a_user_who_is_not_known_gets_the_fallback(bundle: Bundle) -> None:
    answer = bundle.answer([999, None], k=2)
    assert answer.frame["item_id"].to_list() == [21, 20, 21, 20]
    assert set(answer.frame["source"]) == {"popular"}
    assert answer.notes == ("users: 1 not known: 999", "taste: no item can be scored for 2 of 2 queries")


def test_all_users_are_answered_in_blocks(bundle: Bundle) -> None:
    whole = bundle.recommend(k=4)
    assert whole.equals(bundle.recommend(USERS, k=4))
    for block in (1, 2, 5, 100):
        frames = list(bundle.iter_recommend(4, block=block))
        assert len(frames) == -(-len(USERS) // block)
        assert pl.concat(frames).equals(whole)
    limited = bundle.recommend(k=4, allow=[10, 20], exclude=[20], exclude_seen=False)
    assert set(limited["item_id"]) == {10}


def test_blocks_are_as_large_as_the_histories_allow(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ask, "BLOCK_CELLS", 8)
    assert len(list(bundle.iter_recommend())) == 3
    with pytest.raises(SerendipError, match=r"block must be 1 or more users, or None\. Got 0"):
        next(bundle.iter_recommend(block=0))
    monkeypatch.setattr(ask, "BLOCK_CELLS", 1)
    assert len(list(bundle.iter_recommend())) == 5


def test_a_history_alone_is_that_of_somebody_unknown(bundle: Bundle) -> None:
    frame = bundle.recommend(history=[10, 12], k=3)
    assert frame["user_id"].to_list() == [None] * 3
    assert frame.equals(bundle.recommend([None], history=[[10, 12]], k=3))
    assert set(frame["item_id"]) < {14, 16, 18, 20}
    assert set(frame["source"]) == {"taste"}


def test_a_bundle_without_users_answers_anybody() -> None:
    events = pl.DataFrame({"user_id": [1, 2], "item_id": [1, 2]})
    data = Dataset.from_frames(events, items=pl.DataFrame({"item_id": [1, 2]})).where(np.zeros(2, bool))
    made = Bundle.build(data, retrieve(StaticScores(np.array([1, 2], np.float32)), name="popular"))
    assert made.recommend().height == 0
    assert made.recommend().schema == made.recommend(["a"]).schema | {"user_id": pl.Int64}
    assert made.recommend(["a", None])["item_id"].to_list() == [2, 1, 2, 1]


def test_similar_items_are_those_of_the_first_scorer_that_compares(bundle: Bundle) -> None:
    frame = bundle.similar_items([10, "11"], k=3)
    assert frame.columns == ["item_id", "similar_item_id", "title", "score", "rank", "source"]
    assert frame["item_id"].to_list() == [10, 10, 10, 11, 11, 11]
    for one, other in frame.select("item_id", "similar_item_id").rows():
        assert one % 2 == other % 2
        assert one != other
    assert set(frame["source"]) == {"taste"}
    assert frame["rank"].to_list() == [1, 2, 3] * 2
    assert frame["title"].to_list() == [f"Title {item}" if item != 14 else None for item in frame["similar_item_id"]]
    assert bundle.similar_items(np.int64(10), k=99).height < 12


def test_similar_items_need_a_known_item_and_a_scorer_that_compares(bundle: Bundle) -> None:
    with pytest.raises(SerendipError, match=r"items must be among the 12 items of the bundle\. Got 'x', 99\."):
        bundle.similar_items([10, "x", 99])
    data, _ = world()
    plain = Bundle.build(data, retrieve(StaticScores(np.zeros(12, np.float32)), name="popular"))
    with pytest.raises(SerendipError, match=r"must have a model that compares items\. Got popular\. Try: fit item_knn"):
        plain.similar_items(10)


def test_the_manifest_says_what_it_is(bundle: Bundle) -> None:
    made = bundle.manifest
    assert made.format == 2
    assert re.fullmatch(r"[0-9a-f]{12}", made.version)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", made.created)
    assert made.recipe == {"model": {"name": "taste"}}
    assert made.evaluation == {"ndcg@10": 0.5}
    assert msgspec.to_builtins(made.data) == {
        "events": 12,
        "users": 5,
        "items": 12,
        "time_kind": "unix",
        "first": "2001-09-09T01:46:40Z",
        "last": "2001-09-12T01:46:40Z",
    }
    assert np.datetime64("2001-09-12T01:46:40").astype(int) == 1_000_000_000 + 3 * DAY


def test_dates_are_given_only_where_time_is_a_date() -> None:
    events = pl.DataFrame({"user_id": [1, 2], "item_id": [1, 2], "at": [0, 0]})
    data = Dataset.from_frames(events, schema=Schema(timestamp="at", time_kind="rank"))
    assert (manifest.summary(data).first, manifest.summary(data).last) == (None, None)


def test_the_summary_is_what_a_person_wants_first(bundle: Bundle) -> None:
    summary = bundle.summary()
    assert summary["version"] == bundle.manifest.version
    assert summary["sources"] == ["taste", "popular"]
    assert (summary["users"], summary["items"], summary["events"]) == (5, 12, 12)
    assert summary["bytes"] == sum(entry.bytes for entry in bundle.manifest.files.values())
    assert summary["titles"] is True
    assert msgspec.json.decode(msgspec.json.encode(summary)) == summary


def test_the_same_data_and_pipeline_give_the_same_version(bundle: Bundle) -> None:
    again = Bundle.build(*world(), evaluation={"other": 1})
    assert again.manifest.version == bundle.manifest.version
    data, stage = world()
    other = Bundle.build(data.where(np.arange(len(data.events)) > 0), stage)
    assert other.manifest.version != bundle.manifest.version


def test_another_process_gives_the_same_version(bundle: Bundle) -> None:
    code = (
        "from tests.bundle.conftest import world; from serendip.bundle import Bundle; "
        "print(Bundle.build(*world()).manifest.version)"
    )
    environment = os.environ | {"PYTHONHASHSEED": "5"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == bundle.manifest.version


def test_a_saved_bundle_answers_identically(bundle: Bundle, text_bundle: Bundle, tmp_path: Path) -> None:
    for at, made in enumerate((bundle, text_bundle)):
        path = made.save(str(tmp_path / str(at)))
        again = Bundle.load(str(path))
        again.check()
        assert again.recommend(k=9).equals(made.recommend(k=9))
        assert again.items.equals(made.items)
        assert again.manifest.version == made.manifest.version
        assert again.manifest.files == made.manifest.files
        assert again.similar_items(made.item_ids.ids, 5).equals(made.similar_items(made.item_ids.ids, 5))
        assert again.save(tmp_path / "copy").is_dir()
        assert (content_of(tmp_path / "copy").name, made.manifest.created) == (
            f"content-{made.manifest.version}",
            Bundle.load(tmp_path / "copy").manifest.created,
        )


def test_the_files_are_those_of_the_manifest(saved: Path, bundle: Bundle) -> None:
    content = content_of(saved)
    assert content.name == f"content-{bundle.manifest.version}"
    assert {str(path.relative_to(content)) for path in content.rglob("*") if path.is_file()} == {
        "users.parquet",
        "items.parquet",
        "histories.safetensors",
        "pipeline.json",
        "golden.json",
        "scorers/taste.safetensors",
        "scorers/taste.json",
        "scorers/popular.safetensors",
        "scorers/popular.json",
    }
    assert sorted(path.name for path in saved.iterdir()) == [content.name, "manifest.json"]


def test_a_loaded_bundle_outlives_its_directory(saved: Path, bundle: Bundle) -> None:
    again = Bundle.load(saved)
    shutil.rmtree(saved)
    assert again.recommend().equals(bundle.recommend())


def test_arrays_are_views_of_the_files(saved: Path) -> None:
    again = Bundle.load(saved)
    for array in (again.histories.items, again.histories.indptr):
        assert not array.flags.owndata
        assert not array.flags.writeable


def test_loading_and_answering_compile_nothing(saved: Path) -> None:
    code = (
        "import sys; from serendip.bundle import Bundle; b = Bundle.load(sys.argv[1]); b.check(); b.recommend(); "
        "b.similar_items(10); bad = {'torch', 'numba'} & set(sys.modules); assert not bad, bad"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, saved], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_an_error_in_the_manifest_names_the_bundle(saved: Path) -> None:
    path = saved / "manifest.json"
    path.write_bytes(path.read_bytes().replace(b'"created"', b'"Created"'))
    with pytest.raises(BundleError, match=re.escape(f"{path} does not have the checksum that it states")):
        Bundle.load(saved)


def test_the_check_notices_another_answer(saved: Path) -> None:
    forge(saved, edit_json("golden.json", lambda golden: golden["replies"][3]["scores"].__setitem__(1, 7.5)))
    changed = Bundle.load(saved)
    with pytest.raises(
        BundleError, match="does not answer as it did when it was built: golden query 3 has other scores"
    ):
        changed.check()


def test_a_pipeline_of_other_data_is_refused() -> None:
    data, _ = world()
    other = first_of(retrieve(StaticScores(np.zeros(7, np.float32)), name="small"))
    with pytest.raises(SerendipError, match=r"must know the 12 items of its data\. Got 7 in 'small' instead"):
        Bundle.build(data, other)


def test_checksums_may_be_left_out(saved: Path) -> None:
    path = content_of(saved) / "scorers" / "popular.safetensors"
    text = bytearray(path.read_bytes())
    text[-2] ^= 1
    path.write_bytes(text)
    with pytest.raises(BundleError, match=r"popular\.safetensors does not have the checksum"):
        Bundle.load(saved)
    with pytest.raises(BundleError, match="golden query"):
        Bundle.load(saved, verify=False).check()


def test_its_text_is_short(bundle: Bundle) -> None:
    assert repr(bundle) == f"Bundle({bundle.manifest.version}: 5 users, 12 items, taste → popular)"


def two_bundles(tmp_path: Path) -> dict[str, Path]:
    """Two bundles that answer differently, by version."""
    data, stage = world()
    made = [Bundle.build(data, stage), Bundle.build(data, retrieve(StaticScores(np.zeros(12, np.float32)), name="all"))]
    return {one.manifest.version: one.save(tmp_path / one.manifest.version) for one in made}


def test_a_reader_beside_a_writer_gets_one_or_the_other(tmp_path: Path) -> None:
    versions = two_bundles(tmp_path)
    bundles = [Bundle.load(path) for path in versions.values()]
    target = bundles[0].save(tmp_path / "target")
    enough = threading.Event()
    failures: list[BaseException] = []

    def write(one: Bundle) -> None:
        try:
            while not enough.is_set():
                one.save(target)
                time.sleep(0.01)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(one,)) for one in bundles]
    for thread in threads:
        thread.start()
    seen: list[str] = []
    try:
        while len(seen) < 30 or (len(set(seen)) < 2 and len(seen) < 1000):
            loaded = Bundle.load(target)
            loaded.check()
            seen.append(loaded.manifest.version)
    finally:
        enough.set()
        for thread in threads:
            thread.join()
    assert failures == []
    assert set(seen) == set(versions)


def test_a_reader_gives_up_on_a_bundle_that_never_rests(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from serendip.bundle import store

    texts = iter(
        manifest.write(msgspec.structs.replace(made, created=str(at)))
        for at, made in enumerate([manifest.read(store.read_manifest(saved))] * 50)
    )
    monkeypatch.setattr(store, "read_manifest", lambda root: next(texts))
    (content_of(saved) / "golden.json").unlink()
    with pytest.raises(BundleError, match=r"was replaced 20 times while it was read\. Try again"):
        Bundle.load(saved)


WRITER = """
import os, sys
from pathlib import Path
from serendip.bundle import manifest, store

def parts(path):
    text = store.read_manifest(path)
    made = manifest.read(text)
    views = store.read(path, made.version, made.files, verify=True)
    return made.version, {name: [view] for name, view in views.items()}, text

target, *sources = map(Path, sys.argv[1:])
bundles = [parts(path) for path in sources]
for _ in sys.stdin:
    pid = os.fork()
    while pid == 0:
        for one in bundles:
            store.write(target, *one)
    print(pid, flush=True)
    os.waitpid(pid, 0)
"""


def kill_writers(tmp_path: Path, times: int) -> tuple[set[str], int]:
    """Kill a process that writes two bundles in turn, over and over.

    What was found afterwards: which versions, and how often a half-done write lay beside the whole one.
    """
    versions = two_bundles(tmp_path)
    target = Bundle.load(next(iter(versions.values()))).save(tmp_path / "target")
    rng = random.Random(11)
    seen, halves = set(), 0
    command = [sys.executable, "-c", WRITER, target, *versions.values()]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdin is not None
        assert writer.stdout is not None
        for _ in range(times):
            writer.stdin.write("go\n")
            writer.stdin.flush()
            pid = int(writer.stdout.readline())
            time.sleep(rng.uniform(0.0, 0.06))
            os.kill(pid, signal.SIGKILL)
            loaded = Bundle.load(target)
            loaded.check()
            seen.add(loaded.manifest.version)
            halves += len(list(target.glob(".new-*"))) + len(list(target.glob("content-*"))) > 1
    assert seen <= set(versions)
    Bundle.load(next(iter(versions.values()))).save(target)
    assert len(list(target.iterdir())) == 2
    return seen, halves


def test_a_killed_writer_leaves_the_old_bundle_or_the_new(tmp_path: Path) -> None:
    seen, _ = kill_writers(tmp_path, 10)
    assert seen


@pytest.mark.soak
def test_a_hundred_killed_writers_leave_whole_bundles(tmp_path: Path) -> None:
    seen, halves = kill_writers(tmp_path, 100)
    assert len(seen) == 2
    assert halves > 10


def test_public_data_survive_the_way_there_and_back(data_dir: Path, tmp_path: Path) -> None:
    folder = data_dir / "ml_100k"
    schema = Schema(timestamp="timestamp", time_kind="unix", rating="rating", title="title")
    data = Dataset.from_frames(folder / "ratings.parquet", items=folder / "movies.parquet", schema=schema)
    vectors = np.random.default_rng(0).normal(size=(data.n_items, 16)).astype(np.float32)
    counts = np.bincount(data.events.items, minlength=data.n_items).astype(np.float32)
    stage = first_of(
        retrieve(Factors(vectors, alpha0=0.1, reg=0.1, nu=1.0), name="als"),
        retrieve(StaticScores(counts), name="popular"),
    )
    made = Bundle.build(data, stage)
    again = Bundle.load(made.save(tmp_path / "b"))
    again.check()
    assert again.recommend([1, "2", 943, "stranger"]).equals(made.recommend([1, "2", 943, "stranger"]))
    assert again.recommend("stranger", k=1)["title"].to_list() == ["Star Wars (1977)"]
    everyone = again.recommend(k=10)
    assert everyone.height == 943 * 10
    seen = data.matrix()
    assert seen[data.user_ids.encode(everyone["user_id"]), data.item_ids.encode(everyone["item_id"])].sum() == 0
