"""Features in a bundle: kept where a scorer reads them, filled in from what is stored and what is said."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from serendip.bundle import Bundle, BundleError, content, golden
from serendip.bundle.attributes import Attributes
from serendip.bundle.updating import _known as known
from serendip.data.change import Change
from serendip.data.dataset import Dataset
from serendip.data.features.declared import Category, Recency
from serendip.data.schema import Schema
from serendip.pipeline import first_of, retrieve
from serendip.scorers import KINDS, StaticScores
from serendip.types import ABSENT, SerendipError

from .conftest import edit_json, forge
from .described import DAY, EVENTS, MONDAY, READ, ByGroup, world


@pytest.fixture(scope="module", autouse=True)
def _kind() -> Any:
    KINDS[ByGroup.kind] = ByGroup
    yield
    del KINDS[ByGroup.kind]


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return Bundle.build(*world())


def test_what_a_scorer_reads_is_kept_and_nothing_else(bundle: Bundle) -> None:
    assert bundle.attributes is not None
    assert [one.name for one in bundle.attributes.features.inputs] == list(READ)
    assert bundle.attributes.users.columns == ["user_id", "group", "likes"]
    data, pipeline = world()
    plain = Bundle.build(data, retrieve(StaticScores(np.ones(data.n_items, np.float32)), name="popular"))
    assert plain.attributes is None
    assert plain.queries([1]).features == {}
    assert plain.queries([1]).time is None
    with pytest.raises(SerendipError, match=r"must have the features that its pipeline reads\. Lacking: 'device', "):
        Bundle.build(data.with_features({"group": Category(side="user")}), pipeline)
    with pytest.raises(SerendipError, match="must have the features that its pipeline reads"):
        Bundle.build(data.with_features({}), pipeline)


def test_queries_of_a_bundle_are_those_of_its_data(bundle: Bundle) -> None:
    data, _ = world()
    when = np.array([MONDAY + 5 * DAY] * 3)
    here, there = bundle.queries([1, 2, 3], time=int(when[0])).features, data.queries(time=when).features
    assert set(here) == set(there) - {"secret"}
    for name, array in here.items():
        np.testing.assert_array_equal(array, there[name])


def test_a_bundle_that_was_saved_asks_alike(bundle: Bundle, tmp_path: Path) -> None:
    again = Bundle.load(bundle.save(tmp_path / "b"))
    again.check()
    asked = {"time": MONDAY, "attributes": [{"group": "y"}, None, {"group": "new", "likes": "q"}]}
    left, right = (one.queries([1, 2, None], **asked).features for one in (bundle, again))
    assert list(left) == list(right)
    for name, array in left.items():
        np.testing.assert_array_equal(array, right[name])
    assert again.recommend(1, attributes={"group": "y"}).equals(bundle.recommend(1, attributes={"group": "y"}))
    assert again.save(tmp_path / "c").joinpath("manifest.json").exists()
    assert Bundle.load(tmp_path / "c").manifest.version == bundle.manifest.version


def test_the_title_is_found_under_its_new_name(bundle: Bundle) -> None:
    assert bundle.attributes is not None
    data, _ = world()
    assert data.features is not None
    there = bundle.attributes.features.items(bundle.items)["name"]
    np.testing.assert_array_equal(there, data.features.items(data.items)["name"])
    assert (there[:, 0] != ABSENT).all()


def test_what_is_said_counts_at_once(bundle: Bundle) -> None:
    newcomer = bundle.answer(None, 1, attributes={"group": "y"})
    assert newcomer.frame.select("item_id", "source").rows() == [("c", "group")]  # y is code 2: a bucket, x, y
    assert bundle.recommend([77, 1], 1, attributes=[{"group": "x"}, {"group": "y"}])["item_id"].to_list() == ["b", "c"]
    assert bundle.recommend(None, 1, attributes={"group": "never seen"})["item_id"].to_list() == ["a"]
    assert bundle.recommend(None, 1, attributes={})["source"].to_list() == ["popular"]
    assert bundle.recommend([None], 1)["source"].to_list() == ["popular"]


def test_what_is_said_replaces_column_by_column(bundle: Bundle) -> None:
    asked = bundle.queries([1, 1, 2], attributes=[{"likes": ["q"]}, None, {"group": None, "device": "tv"}])
    assert asked.features["group"].tolist() == [1, 1, ABSENT]
    assert asked.features["likes"].tolist() == [[2, ABSENT], [1, 2], [ABSENT, ABSENT]]
    assert asked.features["device"].tolist() == [ABSENT, ABSENT, 2]
    assert asked.features["example_age"].tolist() == [[0]] * 3


def test_values_may_be_of_several_kinds(bundle: Bundle) -> None:
    asked = bundle.queries([None] * 4, attributes=[{"group": 3}, {"group": "x"}, {"group": True}, {"likes": "p|q"}])
    assert asked.features["group"].tolist() == [0, 1, 0, ABSENT]
    odd = bundle.queries([None] * 3, attributes=[{"group": 10**50}, {"group": date(2024, 1, 1)}, {"group": 2.5}])
    assert odd.features["group"].tolist() == [0, 0, 0]
    mixed = bundle.queries([None] * 2, attributes=[{"likes": ["p", None, 3.0]}, {"likes": "q"}])
    assert mixed.features["likes"].tolist() == [[1, 0], [2, ABSENT]]


def test_what_others_say_changes_nothing() -> None:
    """Values of several kinds in one batch, stored ones among them, are read as each of them would be alone."""
    users = pl.DataFrame({"user_id": [1, 2, 3], "likes": ["p|q", "q", None], "joined": [MONDAY, MONDAY - DAY, None]})
    declared = {"likes": Category(side="user", multivalent=True), "joined": Recency(side="user", powers=False)}
    data = Dataset.from_frames(EVENTS, users, schema=Schema(timestamp="timestamp", time_kind="unix"), features=declared)
    assert data.features is not None
    attributes = Attributes(data.features, data.users.select("user_id", "likes", "joined"))
    said: list[dict[str, Any] | None] = [
        {"likes": ["q"], "joined": "2024-01-01"},
        {"likes": "q|p", "joined": MONDAY},
        {"joined": float(MONDAY + 1), "device": "tv"},
        {"joined": str(MONDAY), "likes": [1, "p"]},
        {"device": "phone"},
        None,
        {"joined": date(2023, 12, 31)},
    ]
    queries = data.queries(np.array([ABSENT, ABSENT, 0, 1, 0, 1, 2], np.int32))
    together = attributes.filled(queries, said).features
    for row, part in enumerate(said):
        alone = attributes.filled(queries.take(slice(row, row + 1)), [part]).features
        for name, array in together.items():
            np.testing.assert_array_equal(array[row : row + 1], alone[name])
    assert together["likes"].tolist() == [[2, ABSENT], [2, 1], [1, 2], [0, 1], [1, 2], [2, ABSENT], [ABSENT, ABSENT]]


def test_now_is_when_nobody_says_when(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serendip.bundle.ask.time.time", lambda: MONDAY + 6 * 3600 + 0.5)
    asked = bundle.queries([1])
    assert asked.time is not None
    assert asked.time.tolist() == [MONDAY + 6 * 3600]
    assert asked.features["hour"][0] == pytest.approx([1, 0], abs=1e-6)
    later = bundle.queries([1, 2], time=[MONDAY, MONDAY + 3 * DAY])
    assert later.features["hour"].tolist() == [[0, 1]] * 2
    # 1 came a day later, and 2 a day ago, which is the shortest there was.
    assert later.features["gap"].tolist() == [[0, 1]] * 2


@pytest.mark.parametrize("time", ["now", [MONDAY] * 3, float("nan"), [[MONDAY]]])
def test_times_that_are_none(bundle: Bundle, time: Any) -> None:
    with pytest.raises(SerendipError, match=r"time must be unix seconds, one for all or one per user \(1\)"):
        bundle.queries([1], time=time)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ("x", r"attributes must hold one mapping of columns \(or None\) per user, 2 in all"),
        ([{}], "2 in all"),
        ({"group": "x"}, "2 in all"),
        ([{"group": {"a": 1}}, None], r"must be texts, numbers or lists of them, by column\. Got 'group': \{'a': 1\}"),
        ([{1: "x"}, None], "by column. Got 1: 'x'"),
        (
            [{"group": ["x"]}, None],
            r"Got lists instead\. Try one value, or, where the features are declared",
        ),
    ],
)
def test_attributes_that_cannot_be_used(bundle: Bundle, attributes: Any, message: str) -> None:
    with pytest.raises(SerendipError, match=message):
        bundle.queries([1, 2], attributes=attributes)


def test_what_no_feature_reads_is_noted(bundle: Bundle) -> None:
    found = bundle.answer(1, attributes={"group": "x", "secret": "s", "shoe size": 44})
    assert "attributes: 2 that no model reads: 'secret', 'shoe size'" in found.notes
    found = bundle.answer(1, attributes={"timestamp": MONDAY, "secret": "s"})
    assert found.notes[:2] == (
        "attributes: 'timestamp' is when events were, and was left out: when it is asked is said by time",
        "attributes: 1 that no model reads: 'secret'",
    )
    data, _ = world()
    plain = Bundle.build(data, retrieve(StaticScores(np.ones(data.n_items, np.float32)), name="popular"))
    assert plain.answer(1, attributes={"group": "x"}).notes[0] == "attributes: no model of the bundle reads any"


def test_new_events_bring_new_users_with_attributes(bundle: Bundle) -> None:
    events = pl.DataFrame({"user_id": [4], "item_id": ["e"], "timestamp": [MONDAY + 9 * DAY], "device": ["tv"]})
    users = pl.DataFrame({"user_id": [4, 3], "group": ["y", "x"], "likes": [["p"], None]})
    items = pl.DataFrame({"item_id": ["e"], "name": ["two"], "price": [3]})
    grown = Change.join(_known(bundle), _part(events, users, items))
    assert grown.after.features is not None
    assert grown.after.users["group"].to_list() == ["x", "y", "x", "y"]
    made = Bundle.build(grown.after, first_of(retrieve(ByGroup(np.ones(5, np.float32)), name="group")))
    assert made.queries([3, 4]).features["group"].tolist() == [1, 2]
    assert made.attributes is not None
    words = made.attributes.features.items(made.items)["name"]
    assert words[4].tolist() == words[1].tolist()


def test_a_fit_that_goes_on_keeps_codes_and_counts_ages_anew(bundle: Bundle) -> None:
    events = pl.DataFrame({"user_id": [1, 8], "item_id": ["a", "d"], "timestamp": [MONDAY + DAY * at for at in (8, 9)]})
    schema = Schema(timestamp="timestamp", time_kind="unix")
    after = bundle.continued(Dataset.from_frames(events, schema=schema))
    assert after.features is not None
    assert bundle.attributes is not None
    assert after.features.inputs == bundle.attributes.features.inputs
    ages = after.features.examples(after)["example_age"][:, 0]
    assert ages[after.events.time == MONDAY + 9 * DAY].tolist() == [0]
    assert (ages[after.events.time < MONDAY + 5 * DAY] > 0.5).all()
    assert after.queries(np.array([0])).features["group"].tolist() == [1]


def test_a_fit_that_goes_on_learns_from_the_moments_of_new_events(bundle: Bundle) -> None:
    """Of older events the bundle does not keep them: they are missing."""
    columns = {"user_id": [1, 3], "item_id": ["a", "d"], "timestamp": [MONDAY + 8 * DAY, MONDAY + 9 * DAY]}
    extra = {"device": ["tv", None], "battery": [3, 4], "plugged": [True, False], "charge": [0.5, 0.25]}
    schema = Schema(timestamp="timestamp", time_kind="unix", context=tuple(extra))
    after = bundle.continued(Dataset.from_frames(pl.DataFrame({**columns, **extra}), schema=schema))
    assert after.features is not None
    new = after.events.time > MONDAY + 7 * DAY
    assert after.features.examples(after)["device"][new].tolist() == [2, ABSENT]
    assert set(after.features.examples(after)["device"][~new].tolist()) == {ABSENT}
    assert after.events.context["battery"][new].tolist() == [3, 4]
    assert after.events.context["plugged"][new].tolist() == [True, False]
    assert np.isnan(after.events.context["charge"][~new]).all()


def _known(bundle: Bundle) -> Dataset:
    schema = bundle.manifest.schema
    assert schema is not None
    return known(bundle._content, schema)


def _part(events: pl.DataFrame, users: pl.DataFrame, items: pl.DataFrame) -> Dataset:
    schema = Schema(timestamp="timestamp", time_kind="unix", title="title", context=("device",))
    return Dataset.from_frames(events, users, items.rename({"name": "title"}), schema=schema, part=True)


def edit_users(column: pl.Expr) -> Callable[[Path], object]:
    def edit(folder: Path) -> None:
        pl.read_parquet(folder / "users.parquet").with_columns(column).write_parquet(folder / "users.parquet")

    return edit


def put_features(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], object]:
    return edit_json("features.json", change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put_features(lambda h: h["parts"].pop()), "belong to no feature|must read features of the bundle only"),
        (put_features(lambda h: h.update(clock=1)), "features.safetensors is not what it must be: .*header is wrong"),
        (put_features(lambda h: h["parts"][0]["declared"].update(kind="x")), "header is wrong"),
        (lambda folder: (folder / "features.json").unlink(), "do not fit together: features.json"),
        (lambda folder: (folder / "features.safetensors").write_bytes(b"x"), "features.safetensors is not what"),
        (
            lambda folder: (
                pl.read_parquet(folder / "users.parquet").with_columns(odd=1).write_parquet(folder / "users.parquet")
            ),
            "users.parquet must have no columns but those that features read. Got odd",
        ),
        (
            lambda folder: (
                pl.read_parquet(folder / "users.parquet")
                .with_columns(group=pl.lit([1]))
                .write_parquet(folder / "users.parquet")
            ),
            "users.parquet is not what it must be: .*one value a row",
        ),
    ],
)
def test_a_forged_bundle_is_refused(
    bundle: Bundle, tmp_path: Path, change: Callable[[Path], object], message: str
) -> None:
    root = bundle.save(tmp_path / "b")
    forge(root, change)
    with pytest.raises(BundleError, match=message):
        Bundle.load(root)


def test_a_pipeline_cannot_read_features_that_the_bundle_lacks(bundle: Bundle, tmp_path: Path) -> None:
    root = bundle.save(tmp_path / "b")

    def without(folder: Path) -> None:
        for name in content.FEATURES:
            (folder / name).unlink()
        pl.read_parquet(folder / "users.parquet").select("user_id").write_parquet(folder / "users.parquet")

    forge(root, without)
    with pytest.raises(BundleError, match=r"must read features of the bundle only\. Got device, example_age"):
        Bundle.load(root)


def test_golden_queries_tell_nothing_of_users(bundle: Bundle) -> None:
    replies = golden.record(bundle.pipeline, 4).replies
    assert {source for reply in replies for source in reply.sources} == {"popular"}
