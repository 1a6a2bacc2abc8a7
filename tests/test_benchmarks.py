"""What the measurements rest on: jobs on data small enough to check by hand, and how rows are judged."""

import json
import math
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import polars as pl
import pytest

from benchmarks import (
    ctr_jobs,
    frappe,
    frappe_counts,
    harness,
    kernel_jobs,
    list_jobs,
    moment_jobs,
    multitask_jobs,
    rating_jobs,
    rerank_whole_jobs,
    scale_jobs,
    sequence_jobs,
    tower_jobs,
)
from benchmarks.harness import Row, same
from benchmarks.peers import judging
from benchmarks.rerank_plot import trade
from benchmarks.scale_plot import costs
from benchmarks.topics import scale_classic
from serendip.data.dataset import Dataset
from serendip.evaluate.rows import auc, logloss


def test_results_must_be_equally_good():
    same("a sum", 1.0005, 1.0, 1e-3)
    with pytest.raises(RuntimeError, match=r"a sum: 1\.002 of ours and 1 of the peer differ by more than 0\.001"):
        same("a sum", 1.002, 1.0, 1e-3)


@pytest.mark.parametrize(("target", "holds"), [("<= 2", True), (">= 2.5", False), ("ratio >= 4", True), (None, None)])
def test_rows_are_judged_by_value_or_ratio(target, holds):
    assert Row("a", "seconds", 2.0, "s", ratio=4.0, target=target).judged().holds is holds


def test_synthetic_log(tmp_path):
    path = tmp_path / "log.parquet"
    scale_jobs.make_log(str(path), 20_000)
    log = pl.read_parquet(path)
    assert len(log) == len(log.unique())
    assert log["user_id"].n_unique() == 400
    assert 12_000 < len(log) <= 20_500
    assert log["item_id"].max() < scale_jobs.items_of(20_000)
    counts = log["item_id"].value_counts()["count"].sort(descending=True)
    assert counts[0] > 4 * counts[len(counts) // 2]


def test_work_by_hand():
    """Users with 2 and 1 items; items with 2 and 1 users."""
    data = Dataset.from_frames(pl.DataFrame({"user_id": [0, 0, 1], "item_id": [0, 1, 0]}))
    assert scale_jobs.work(data, "item_knn", {}) == {"additions": 5.0, "bytes": 4.0}
    assert scale_jobs.work(data, "ease", {}) == {"additions": 5.0, "operations": 8.0}
    assert scale_jobs.work(data, "ease", {"solver": "sparse", "neighbours": 3})["operations"] == 2 * 27 / 3
    # d = 1: every row has low 1 and high its length; 6 entries on both sides, four rows
    assert scale_jobs.work(data, "ials", {"factors": 1, "iterations": 2})["operations"] == 2 * (6 + 4 / 3 + 8)


def test_exponents():
    before = {"events": 100, "cpu": 1.0, "fit_peak_mb": 10.0, "work": {"additions": 10.0, "operations": 8.0}}
    after = {"events": 400, "cpu": 8.0, "fit_peak_mb": 20.0, "work": {"additions": 20.0, "operations": 64.0}}
    time, memory = scale_classic.exponents("x", before, after)
    assert math.isclose(time.value, 1.5)
    assert time.target == "<= 1.65"
    assert "additions 0.50, operations 1.50" in time.note
    assert math.isclose(memory.value, 0.5)


def test_plot_is_a_picture_of_its_own():
    picture = costs(["1M", "3M"], {"one": [1.0, 2.0], "other": [3.0, None]}, {"one": [5.0, 4.0], "other": [6.0, None]})
    root = ElementTree.fromstring(picture)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert len(root.findall(".//{*}title")) == 6
    assert {"one", "other", "1M", "3M"} <= {node.text for node in root.iter("{http://www.w3.org/2000/svg}text")}


def test_what_diversity_costs_is_drawn_from_nothing_gained():
    picture = trade("cost", {"mmr": [(0.0, 0.0), (0.2, 0.05)], "dpp": [(0.0, 0.0), (0.1, 0.04), (0.3, 0.2)]})
    root = ElementTree.fromstring(picture)
    texts = {node.text for node in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"mmr", "dpp", "cost", "+10%", "-10%", "+0%"} <= texts
    assert len(root.findall(".//{*}line[@class]")) >= 3  # a segment from point to point, and levels


def test_the_least_time_counts():
    calls: list[str] = []
    times = kernel_jobs.best(lambda: calls.append("a"), lambda: calls.append("b"))
    assert calls == ["a", "b"] * (kernel_jobs.TURNS + 1)
    assert len(times) == 2
    assert min(times) >= 0


def test_bare_counting_counts():
    sums = np.zeros(3, np.uint8)
    kernel_jobs._counted(np.array([0, 2, 2], np.uint32), sums, np.uint8(1), 2)
    assert sums.tolist() == [2, 0, 4]


def test_operations_of_attention_by_hand():
    """d = 2, hidden 3, one block, 5 items: a history of 1 place has 1 pair, one of 3 places has 6."""
    place = 2 * (4 * 2 * 2 + 2 * 2 * 3) + 2 * 2 * 5
    pair = 2 * 2 * 2
    assert sequence_jobs.operations(np.array([1, 3]), 2, 3, 1, 5) == 3 * (4 * place + 7 * pair)


def test_latest_events_keep_their_codes():
    log = pl.DataFrame({"user_id": [0, 0, 0, 1, 2], "item_id": [5, 6, 7, 5, 8], "timestamp": [1, 2, 3, 1, 1]})
    data = Dataset.from_frames(log)
    kept = sequence_jobs.latest(data, 2)
    assert kept.events.users.tolist() == [0, 0, 1, 2]
    assert kept.item_ids.ids.gather(kept.events.items).to_list() == [6, 7, 5, 8]
    assert kept.events.indptr.tolist() == [0, 2, 3, 4]
    few = sequence_jobs.latest(data, 1, users=2)
    assert few.events.users.tolist() == [0, 1]
    assert (few.n_users, few.n_items) == (data.n_users, data.n_items)


def test_what_a_model_finds_beyond_another_is_a_share_of_all_events():
    events = [[0, 2, 2], [0, 1, 3]]
    found = moment_jobs.gain(events, [[0, 1, 2], [0, 1, 1]], [[0, 0, 0], [0, 0, 0]])
    assert found.n == 2 and found.difference == pytest.approx(5 / 8)


def test_known_items_and_new_ones_are_held_out_apart():
    rng = np.random.default_rng(0)
    rows = [(user, item, place) for user in range(30) for place, item in enumerate(rng.permutation(20)[:8].tolist())]
    log = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    data = Dataset.from_frames(log, items=pl.DataFrame({"item_id": range(20)}), time_kind="rank")
    warm, cold, kept = tower_jobs.known_and_new(data, 0)
    learned = np.bincount(warm.train.events.items, minlength=20) > 0
    new = np.unique(cold.truth.items)
    assert len(new) == 2 and not learned[new].any() and learned[warm.truth.items].all()
    assert len(warm.train.events) == kept.sum() == len(data.events) - len(warm) - len(cold.test)
    left = data.where(kept)
    assert left.events.items.tolist() == warm.train.events.items.tolist()


def test_negatives_are_items_that_their_user_has_in_no_row():
    users, items = np.repeat([0, 1], [4, 1]), np.array([0, 1, 2, 3, 0])
    drawn = frappe.negatives(users, items, 6, np.random.default_rng(0))
    assert [sorted(row) for row in drawn[:4].tolist()] == [[4, 5]] * 4
    assert len(set(drawn[4].tolist())) == 2
    assert 0 not in drawn[4]


def test_peers_are_judged_by_the_same_measures():
    rng = np.random.default_rng(0)
    labels, p = rng.integers(0, 2, 500), np.round(rng.random(500), 2)  # many ties, and 0 and 1 among them
    found = judging.figures(labels, p)
    assert math.isclose(found["auc"], auc(labels, p), abs_tol=1e-12)
    assert math.isclose(found["logloss"], logloss(labels, p), rel_tol=1e-12)


def test_peers_stop_when_the_first_part_gets_no_better():
    scores = iter([[0.1, 0.9], [0.9, 0.1], [0.9, 0.1], [0.1, 0.9]])
    parts = {"train": (np.zeros((4, 1)), np.zeros(4)), "validation": (np.zeros((2, 1)), np.array([0, 1]))}
    worse, steps = [], []
    found = judging.train(
        lambda codes, labels: steps.append(len(labels)),
        lambda codes: next(scores),
        parts,
        batch_size=3,
        epochs=9,
        judge=("validation",),
        patience=2,
        seed=0,
        worse=lambda: worse.append(1),
    )
    assert [one["validation"]["auc"] for one in found["epochs"]] == [1, 0, 0]
    assert (steps, len(worse)) == ([3, 1] * 3, 2)


def test_rows_are_asked_in_their_own_moment():
    moments = {name: [0, 1, 1, 0] for name in frappe.CONTEXT}
    rows = pl.DataFrame({"label": [1, 0, 1, 0], "user_id": [7, 7, 8, 8], "item_id": [3, 4, 4, 3], **moments})
    data = ctr_jobs.training(rows)
    queries, items = ctr_jobs.asked(data, rows.reverse())
    assert data.item_ids.decode(items[:, 0]).to_list() == [3, 4, 4, 3]
    for name in frappe.CONTEXT:
        first, second, third, fourth = queries.features[name]
        assert first == fourth != second == third
    who = queries.features[ctr_jobs.WHO]
    assert who[0] == who[1] != who[2] == who[3]
    assert data.events.labels["label"].sum() == 2


def test_rows_without_a_score_are_as_likely_as_those_of_training():
    made = {"label": [1, 0, 0, 0], "user_id": [1, 1, 2, 2], "item_id": [3, 4, 3, 4]}
    rows = pl.DataFrame({**made, **{name: [0, 0, 0, 0] for name in frappe.CONTEXT}})

    class Scorer:
        def score(self, queries, items):
            return np.array([[-np.inf], [-1.2], [-1.0], [-1.0]], np.float32)  # the odds of training are e^-1.1

    data = ctr_jobs.training(rows)
    found = ctr_jobs.judged(Scorer(), data, rows)
    assert found["auc"] == pytest.approx(1 / 3)
    others = math.log1p(math.exp(-1.2)) + 2 * math.log1p(math.exp(-1.0))
    assert found["logloss"] == pytest.approx((math.log(4) + others) / 4)


def test_counts_leave_out_the_positive_that_a_row_is_of():
    known, taken = np.array([0, 0, 0, 1]), np.array([5, 5, 6, 5])
    users, items = np.array([0, 0, 0, 1, 2, 1]), np.array([5, 6, 7, 5, 5, 6])
    of = np.array([0, 2, 2, -1, -1, -1])  # the third is a negative drawn for the third positive
    found = frappe_counts.counts(known, taken, users, items, of)
    assert found["used"].tolist() == [1, 0, 0, 1, 0, 0]
    assert found["events"].tolist() == [1, 1, 1, 1, 0, 1]  # log2 of 2 and 1 more, or 1 and 1 more, or none
    assert found["fresh"].tolist() == [8, 5, 5, 7, 5, 7]  # tenths of (2.5, 1.5, 1.5) / 3, 1.5 / 2 and 0.5 / 1
    assert found["others"].tolist() == [2, 0, 0, 2, 3, 2]  # 2 log2 of 2, 1, 1, 2, 3, 2


def test_columns_beside_the_fields_are_of_the_moment_and_new_pairs_are_judged_alone():
    made = {"label": [1, 0, 1, 0], "user_id": [1, 1, 2, 2], "item_id": [3, 4, 3, 4], "used": [1, 0, 0, 0]}
    rows = pl.DataFrame({**made, **{name: [0, 0, 0, 0] for name in frappe.CONTEXT}})

    class Scorer:
        def score(self, queries, items):
            return np.array([[3.0], [0.0], [-1.0], [-2.0]], np.float32)

    data = ctr_jobs.training(rows)
    assert {"used", *frappe.CONTEXT} <= {one.name for one in data.features.inputs}
    found = ctr_jobs.judged(Scorer(), data, rows, rows["used"].to_numpy() == 0)
    assert (found["auc"], found["auc_new"]) == (0.75, 0.5)


def test_lists_are_of_one_user_and_judged_by_their_order():
    ratings = pl.DataFrame({"user_id": [1] * 11 + [2] * 4, "item_id": range(15), "rating": [3.0] * 15})
    one, all_of_them = list_jobs.drawn(ratings, 5, 0), list_jobs.drawn(ratings, 5, 0, None)
    assert one["user_id"].to_list() == [1] * 5 and all_of_them["user_id"].to_list() == [1] * 10
    assert all_of_them["item_id"].n_unique() == 10
    # gains 3 and 1: best first 3 + 1 / log2 3, the other way 1 + 3 / log2 3
    found = list_jobs.ndcg(np.array([[2.0, 1.0], [1.0, 2.0]]), np.array([[2.0, 1.0], [2.0, 1.0]]))
    assert found == pytest.approx((1 + (1 + 3 / math.log2(3)) / (3 + 1 / math.log2(3))) / 2)


def test_random_parts_are_of_the_size_asked_for():
    one, other = (rating_jobs.part(1000, 0.2, seed) for seed in (0, 1))
    assert one.sum() == other.sum() == 200
    assert (one == rating_jobs.part(1000, 0.2, 0)).all()
    assert 10 < (one & other).sum() < 80


def test_what_tells_a_label_of_the_census_is_none_of_its_features(tmp_path):
    rows = 200
    table = pl.DataFrame(
        {
            "age": range(rows),
            "marital_stat": ["Never married", " Never married ", "Widowed", "Divorced"] * (rows // 4),
            "income_50k": [0, 1, 0, 0] * (rows // 4),
            "instance_weight": [1.5] * rows,
            "sex": ["Male", "Female"] * (rows // 2),
        }
    )
    table.write_parquet(tmp_path / "test.parquet")
    parts = multitask_jobs.census(str(tmp_path))
    assert {name: len(part.events) for name, part in parts.items()} == {"train": 120, "validate": 40, "test": 40}
    for part in parts.values():
        read = {one.name for one in part.features.inputs}
        assert read == {"age", "sex"}
        assert not read & {*multitask_jobs.TELLING, *multitask_jobs.CENSUS}
        never = part.events.context["age"] % 4 < 2
        np.testing.assert_array_equal(part.events.labels["never_married"], never)


def test_repeated_rows_of_the_videos_are_dropped_and_days_kept_apart(tmp_path):
    columns = {"user_id": 1, "item_id": 2, "hourmin": 1230, "time_ms": 1_650_000_000_000, "tab": 1}
    columns |= {**dict.fromkeys(multitask_jobs.VIDEOS, 0), "play_time_ms": 1500}
    for name, days in {"0425_0430": (20220430, 20220430), "0501_0508": (20220501, 20220508, 20220508)}.items():
        pl.DataFrame([{**columns, "date": day} for day in days]).write_parquet(tmp_path / f"log_{name}.parquet")
    parts = multitask_jobs.videos(str(tmp_path))
    assert [len(parts[name]) for name in ("train", "validate", "test")] == [1, 1, 1] and parts["repeated"] == 2
    assert parts["train"][multitask_jobs.PLAYED].to_list() == [1.5]


def test_gains_of_several_tasks_over_one_by_hand(tmp_path):
    """Two users with a video each that is clicked and one that is not: both in order, against one of the two."""
    columns = dict.fromkeys(("user_id", "item_id", "time_ms", "date"), 1)
    columns |= {"hourmin": 1230, "tab": 1, **dict.fromkeys(multitask_jobs.VIDEOS, 0), "play_time_ms": 1500}
    seen = {**columns, "item_id": 1, "time_ms": 1_650_800_000_000, "date": 20220430}
    asked = [
        {**columns, "user_id": 1 + at // 2, "item_id": 1 + at % 2, "time_ms": 1_651_500_000_000, "date": 20220502}
        | {"is_click": int(at % 2 == 0)}
        for at in range(4)
    ]
    pl.DataFrame([{**seen, "user_id": 1}, {**seen, "user_id": 2, "item_id": 2}]).write_parquet(
        tmp_path / "log_0425_0430.parquet"
    )
    pl.DataFrame(asked).write_parquet(tmp_path / "log_0501_0508.parquet")
    known = {name: ["a", "b"] for name in multitask_jobs.FIELDS} | {name: [0, 1] for name in multitask_jobs.ONE_HOT}
    pl.DataFrame({"user_id": [1, 2], **known}).write_parquet(tmp_path / "users.parquet")
    videos = {"author_id": [1, 2], "music_id": [1, 2], "video_type": ["x", "y"], "upload_type": ["u", "v"]}
    videos |= {"tag": ["3,4", None], "video_duration": [9000.0, 8000.0]}
    pl.DataFrame({"item_id": [1, 2], **videos}).write_parquet(tmp_path / "items.parquet")
    files = [str(tmp_path / f"{name}.npz") for name in ("right", "half")]
    np.savez(files[0], is_click=np.array([0.9, 0.1, 0.8, 0.2]))
    np.savez(files[1], is_click=np.array([0.9, 0.1, 0.3, 0.4]))
    found = multitask_jobs.differences_job(str(tmp_path), [files[0]], {"is_click": [files[1]]}, "auc")["is_click"]
    assert found["values"] == [pytest.approx(0.25)]  # of the four pairs one is in the wrong order
    assert found["low"] <= 0.25 <= found["high"]


def test_the_divergence_of_genres_is_that_by_hand():
    genres = pl.DataFrame({"genres": [["Drama"], ["Comedy"], ["Comedy", "Drama"], None]})
    mix = rerank_whole_jobs._Mix(SimpleNamespace(items=genres, n_items=4))
    shown = np.array([[0, 1, -1], [0, 2, 3], [0, 1, 2]])
    asked = SimpleNamespace(history=np.array([[0, -1], [0, 1], [3, -1]]), bags={})  # the last one says nothing
    mix.watching(lambda queries: SimpleNamespace(items=shown))(asked)
    first = math.log(1 / (0.99 * 0.5 + 0.01))
    second = 0.5 * math.log(0.5 / (0.99 * 0.75 + 0.005)) + 0.5 * math.log(0.5 / (0.99 * 0.25 + 0.005))
    assert mix.mean() == pytest.approx((first + second) / 2)


def test_rows_kept_from_another_machine_say_so(tmp_path, monkeypatch):
    monkeypatch.setattr(harness, "RESULTS", tmp_path)
    elsewhere = {"name": "old", "metric": "ms", "value": 1.0, "unit": "ms", "key": "k"}
    (tmp_path / "some.json").write_text(json.dumps({"machine": {"processor": "Elsewhere"}, "rows": [elsewhere]}))
    topic = harness.Topic("some")
    topic.row([("new", "ms")], lambda: harness.Row("new", "ms", 2.0, "ms"), depends=[])
    found = {row["name"]: row["on"] for row in json.loads((tmp_path / "some.json").read_text())["rows"]}
    assert found == {"old": "Elsewhere", "new": harness.machine()["processor"]}
