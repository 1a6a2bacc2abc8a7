from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from serendip.bundle import Bundle
from serendip.checkpoint import read
from serendip.data.dataset import Dataset
from serendip.data.synthetic import World


def test_from_files_to_a_bundle(run: Any, data_flags: list[object], here: Path) -> None:
    result = run("fit", *data_flags, "--model", "ease", "--out", "out/b")
    assert "out/b: ease from" in result.stdout
    assert "Fitting ease" in result.stderr
    bundle = Bundle.load(here / "out" / "b")
    assert bundle.manifest.recipe["model"] == {"name": "ease"}
    assert bundle.manifest.evaluation == {}
    assert bundle.recommend("nobody", k=3)["title"].null_count() == 0


def test_the_recipe_says_where_and_the_flag_wins(run: Any, data_flags: list[object], here: Path) -> None:
    events = str(data_flags[1])
    (here / "recipe.toml").write_text(f'model = "popular"\n[data]\nevents = "{events}"\n[run]\nout = "there"\n')
    found = json.loads(run("fit", "--json").stdout)
    assert found["bundle"] == "there" or Path(found["bundle"]) == Path("there")
    assert found["sources"] == ["popular"]
    run("fit", "--out", "elsewhere")
    assert (here / "there" / "manifest.json").exists()
    assert (here / "elsewhere" / "manifest.json").exists()


def test_says_which_index_there_is(run: Any, data_flags: list[object], here: Path) -> None:
    flags = ["--model", "ials", "--set", "model.iterations=1", "--set", "index.backend=faiss_ivf"]
    said = " ".join(run("fit", *data_flags, *flags).stderr.split())
    assert "Index of ials: faiss_ivf needs at least 1,000 vectors, there are" in said
    assert Bundle.load(here / "out" / "bundle").manifest.index["ials"].backend == "exact"


def test_the_default_place(run: Any, data_flags: list[object], here: Path) -> None:
    run("fit", *data_flags, "--model", "popular", "--quiet")
    assert (here / "out" / "bundle" / "manifest.json").exists()


def test_figures_can_be_kept(run: Any, data_flags: list[object], here: Path) -> None:
    run("fit", *data_flags, "--model", "ease", "--evaluate", "--set", 'evaluate.compare=["popular"]')
    kept = Bundle.load(here / "out" / "bundle").manifest.evaluation
    assert list(kept["models"]) == ["ease", "popular"]


def test_a_bundle_is_replaced(run: Any, data_flags: list[object], here: Path) -> None:
    first = json.loads(run("fit", *data_flags, "--model", "popular", "--json").stdout)
    second = json.loads(run("fit", *data_flags, "--model", "ease", "--json").stdout)
    assert first["version"] != second["version"]
    assert Bundle.load(here / "out" / "bundle").manifest.version == second["version"]


def test_a_place_that_cannot_be_written_is_known_before_the_work(
    run: Any, data_flags: list[object], here: Path
) -> None:
    (here / "file").touch()
    for out in ("file", "file/b"):
        result = run("fit", *data_flags, "--out", out, code=6)
        assert "cannot be written" in result.stderr
        assert "Reading" not in result.stderr
    assert [path.name for path in here.iterdir()] == ["file"]


def test_a_place_that_holds_something_else_is_known_before_the_work(
    run: Any, data_flags: list[object], here: Path
) -> None:
    (here / "mine").mkdir()
    (here / "mine" / "notes.txt").touch()
    result = run("fit", *data_flags, "--out", "mine", code=5)
    assert "mine holds notes.txt and is left as it is" in result.stderr
    assert "Reading" not in result.stderr


def test_another_directory_is_left_alone(run: Any, data_flags: list[object], here: Path) -> None:
    (here / "mine").mkdir()
    (here / "mine" / "letter.txt").write_text("dear")
    run("fit", *data_flags, "--model", "popular", "--out", "mine", code=5)
    assert [path.name for path in (here / "mine").iterdir()] == ["letter.txt"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--model", "ialz"], "Did you mean 'ials'?"),
        (["--set", "model.fators=3"], "Did you mean 'factors'?"),
        (["--set", "run.threads=two"], "run.threads must be a whole number"),
        (["--time-kind", "unix-time"], "--time-kind: data.time_kind must be one of"),
        (["--event-weights", "buy"], "--event-weights must be name=value"),
        (["--set", "modl.name=ease"], "Did you mean 'model'?"),
    ],
)
def test_an_option_that_cannot_be_used(
    run: Any, data_flags: list[object], here: Path, arguments: list[str], said: str
) -> None:
    result = run("fit", *data_flags, *arguments, code=4)
    assert said in result.stderr
    assert list(here.iterdir()) == []


def test_bad_data_leave_nothing_behind(run: Any, here: Path) -> None:
    (here / "log.csv").write_text("user_id,item_id\n1,2\n2,3\n,4\n")
    run("fit", "--events", "log.csv", code=3)
    assert [path.name for path in here.iterdir()] == ["log.csv"]


def test_ml_1m_by_rank(run: Any, data_dir: Path, here: Path) -> None:
    folder = data_dir / "ml_1m"
    run(
        *("fit", "--events", folder / "interactions.parquet", "--items", folder / "movies.parquet"),
        *("--columns", "timestamp=time_rank", "--time-kind", "rank", "--model", "popular", "--out", "b", "--quiet"),
    )
    rows = json.loads(run("recommend", "--bundle", "b", "--user", 1, "--json").stdout)
    assert len(rows) == 10
    assert all(row["user_id"] == 1 and row["title"] and row["source"] == "popular" for row in rows)
    assert [row["rank"] for row in rows] == list(range(1, 11))


PLAIN = ["--model", "lightgcn", "--threads", "1", "--set", "pipeline.fallback=[]"]
LIGHT = [*PLAIN, "--set", "model.factors=8"]


def test_training_is_told_and_stops_where_it_should(run: Any, data_flags: list[object], here: Path) -> None:
    flags = ["--set", "model.epochs=4", "--validate", "ndcg@10", "--patience", "1", "--checkpoint", "c/fit.ckpt"]
    result = run("fit", *data_flags, *LIGHT, *flags)
    assert "Looking for the best epoch of lightgcn by ndcg@10: epoch" in result.stderr
    assert "examples/s" in result.stderr
    assert "; exporting\n" in result.stderr and "Exporting lightgcn: " in result.stderr
    assert sorted(path.name for path in (here / "c").iterdir()) == ["fit.ckpt", "fit.ckpt.validation"]
    assert Bundle.load(here / "out" / "bundle").manifest.recipe["fit"] == {"validate": "ndcg@10", "patience": 1}


def test_events_to_go_on_with_may_hold_nothing_of_the_target(run: Any, here: Path) -> None:
    rows = [(user, item, 5 * user + item, "buy" if item % 2 else "view") for user in range(4) for item in range(4)]
    columns = ["user_id", "item_id", "timestamp", "event_type"]
    pl.DataFrame(rows, schema=columns, orient="row").write_csv("log.csv")
    pl.DataFrame([(9, 1, 99, "view")], schema=columns, orient="row").write_csv("new.csv")
    few = ["--set", "model.epochs=1"]
    run("fit", "--events", "log.csv", "--target", "buy", "--time-kind", "rank", *LIGHT, *few, "--out", "a")
    run("fit", "--from", "a", "--events", "new.csv", *few, "--threads", 1, "--out", "b")
    made = Bundle.load(here / "b")
    assert made.histories.kinds is not None and made.histories.kinds.target == ("buy",)
    assert (len(made.user_ids), len(made.histories.items)) == (5, 17)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--resume"], "--resume must come with the file to go on from"),
        (["--model", "ease", "--checkpoint", "c"], "--checkpoint must go with a model that learns in epochs"),
        (["--model", "ease", "--validate", "ndcg@10"], "ease does not: leave it out"),
        (["--validate", "ndcg@x"], "--validate: fit.validate: ndcg must say how many places count"),
        (["--patience", "2"], "fit.patience must come with fit.validate"),
        (["--patience", "0", "--validate", "ndcg@10"], "--patience: fit.patience must be a whole number ≥ 1"),
    ],
)
def test_flags_about_training_that_cannot_be(
    run: Any, data_flags: list[object], here: Path, flags: list[str], said: str
) -> None:
    result = run("fit", *data_flags, *PLAIN, *flags, code=4)
    assert said in result.stderr
    assert "Reading:" not in result.stderr
    assert list(here.iterdir()) == []


def test_another_file_is_no_checkpoint(run: Any, data_flags: list[object], here: Path) -> None:
    flags = ["--set", "model.epochs=2", "--checkpoint", "c", "--resume"]
    (here / "c").mkdir()
    assert "Try another --checkpoint." in run("fit", *data_flags, *LIGHT, *flags, code=6).stderr
    (here / "c").rmdir()
    (here / "c").write_bytes(b"something else")
    assert "c must be a whole checkpoint" in run("fit", *data_flags, *LIGHT, *flags, code=4).stderr
    (here / "c").unlink()
    run("fit", *data_flags, *LIGHT, *flags)
    assert "0.01 there, 0.02 here" in (
        run("fit", *data_flags, *LIGHT, *flags, "--set", "model.learning_rate=0.02", code=4).stderr
    )
    (here / "c").write_bytes((here / "c").read_bytes()[:-40])
    assert "damaged, cut short" in run("fit", *data_flags, *LIGHT, *flags, code=4).stderr


KILLED = """
import sys, time
from serendip.cli import app
from serendip.model import find

model = find({model!r})
known, steps = model.loss, []

def loss(self, net, batch):
    steps.append(1)
    if len(steps) == {steps}:
        print("here", flush=True)
        time.sleep(600)
    return known(self, net, batch)

model.loss = loss
sys.argv = ["serendip", *{arguments}]
app()
"""


@pytest.mark.parametrize("model", ["lightgcn", "two_tower"])
def test_a_killed_fit_goes_on_bit_for_bit(model: str, run: Any, data_flags: list[object], here: Path) -> None:
    options = ["factors=8", "epochs=5", "batch_size=700"]
    flags = ["fit", *map(str, data_flags), "--model", model, "--threads", "1"]
    flags += [part for option in options for part in ("--set", f"model.{option}")]
    script = KILLED.format(model=model, steps=7, arguments=[*flags, "--checkpoint", "c", "--out", "killed"])
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=here) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
        process.kill()  # SIGKILL: nothing can be put in order
        process.wait()
    assert not (here / "killed").exists()
    assert (0, 0) < (read(here / "c").epoch, read(here / "c").step) < (5, 0)
    run(*flags, "--checkpoint", "c", "--resume", "--out", "resumed")
    run(*flags, "--out", "whole")
    resumed, whole = Bundle.load(here / "resumed"), Bundle.load(here / "whole")
    assert resumed.manifest.version == whole.manifest.version  # a digest of all that was learned


@pytest.fixture
def halves(world: World, here: Path) -> list[Path]:
    """The log's first events, its last ones, and all; the first ones lack some users and items."""
    events = world.events.sort("timestamp")
    cut = len(events) * 7 // 10
    paths = [here / name for name in ("old.parquet", "new.parquet", "all.parquet")]
    for path, part in zip(paths, (events[:cut], events[cut:], events), strict=True):
        part.write_parquet(path)
    return paths


def test_a_fit_goes_on_from_a_bundle(run: Any, halves: list[Path], here: Path) -> None:
    old, new, everything = halves
    run("fit", "--events", old, *LIGHT, "--set", "model.epochs=15", "--out", "a")
    run("fit", "--from", "a", "--events", new, "--set", "model.epochs=1", "--threads", "1", "--out", "b")
    before, after = Bundle.load(here / "a"), Bundle.load(here / "b")
    assert after.manifest.start == before.manifest.version
    assert before.manifest.start is None
    assert after.manifest.recipe["model"] == {"name": "lightgcn", "factors": 8, "epochs": 1}
    assert after.item_ids.ids[: len(before.item_ids)].to_list() == before.item_ids.ids.to_list()
    assert len(after.item_ids) > len(before.item_ids)
    assert len(after.user_ids) > len(before.user_ids)
    user = before.user_ids.ids[int(np.diff(before.histories.indptr).argmax())]
    known, still = (bundle.queries(user).exclude for bundle in (before, after))
    assert known is not None and still is not None
    assert set(known[0]) <= set(still[0])  # what was seen is not forgotten
    run("fit", "--from", "a", "--events", everything, "--set", "model.epochs=1", "--threads", "1", "--out", "c")
    assert Bundle.load(here / "c").manifest.version == after.manifest.version  # what both logs hold counts once


def test_a_fit_that_goes_on_stops_where_it_should(run: Any, halves: list[Path], here: Path) -> None:
    old, new, _ = halves
    run("fit", "--events", old, *LIGHT, "--set", "model.epochs=2", "--out", "a")
    flags = ["--threads", "1", "--set", "model.epochs=3", "--validate", "recall@20", "--patience", "1"]
    result = run("fit", "--from", "a", "--events", new, *flags, "--out", "b")
    assert "(recall@20 was best then)" in result.stderr
    assert Bundle.load(here / "b").learned == ("lightgcn",)


def test_a_fit_goes_on_without_tables_whose_columns_the_recipe_names(
    run: Any, world: World, halves: list[Path], here: Path
) -> None:
    world.items.write_parquet(here / "items.parquet")
    (here / "recipe.toml").write_text(
        '[data]\nevents = "old.parquet"\nitems = "items.parquet"\n'
        'columns = { item_key = "item_id", title = "title", categories = ["kind"] }\n'
        '[model]\nname = "lightgcn"\nfactors = 8\nepochs = 1\n'
    )
    run("fit", "recipe.toml", "--out", "a")
    (here / "recipe.toml").unlink()
    run("fit", "--from", "a", "--events", halves[1], "--out", "b")
    after = Bundle.load(here / "b")
    assert after.recommend(after.user_ids.ids[0], k=3)["title"].null_count() == 0
    assert after.manifest.recipe["data"]["columns"]["title"] == "title"
    run("fit", "--from", "b", "--events", halves[1], "--items", here / "items.parquet", "--out", "c")
    assert Bundle.load(here / "c").manifest.start == after.manifest.version


def test_a_fit_that_reads_features_goes_on_with_events_alone(run: Any, world: World, here: Path) -> None:
    """What is known of users and items is in the bundle; a validation holds nothing against the older events."""
    events = world.events.sort("timestamp").with_columns(place=pl.col("item_id").str.slice(-1))
    cut = len(events) * 7 // 10
    for path, part in (("old", events[:cut]), ("new", events[cut:])):
        part.write_parquet(here / f"{path}.parquet")
    world.items.write_parquet(here / "items.parquet")
    world.users.write_parquet(here / "users.parquet")
    (here / "recipe.toml").write_text(
        '[data]\nevents = "old.parquet"\nitems = "items.parquet"\nusers = "users.parquet"\n'
        '[features]\nkind = { kind = "category", side = "item" }\ncountry = { kind = "category", side = "user" }\n'
        'place = { kind = "category", side = "context" }\nexample_age = { kind = "age" }\n'
        '[model]\nname = "two_tower"\nepochs = 1\nfactors = 8\nlength = 5\nitems_by = "both"\n'
    )
    run("fit", "recipe.toml", "--threads", "1", "--out", "a")
    run("fit", "--from", "a", "--events", "new.parquet", "--validate", "recall@20", "--threads", "1", "--out", "b")
    before, after = Bundle.load(here / "a"), Bundle.load(here / "b")
    assert before.attributes is not None and after.attributes is not None
    assert after.attributes.features.inputs == before.attributes.features.inputs
    assert after.attributes.users.equals(before.attributes.users)
    assert list(after.start(data_of(after)).tensors) == list(before.start(data_of(before)).tensors)


def test_parts_stay_as_they_are(run: Any, halves: list[Path], here: Path) -> None:
    old, new, _ = halves
    run("fit", "--events", old, *LIGHT, "--set", "model.epochs=2", "--out", "a")
    run("fit", "--from", "a", "--events", new, "--freeze", "items", "--threads", "1", "--out", "b")
    before, after = Bundle.load(here / "a"), Bundle.load(here / "b")
    tensors = [bundle.start(data_of(bundle)).tensors for bundle in (before, after)]
    assert (tensors[1]["items"][: len(tensors[0]["items"])] == tensors[0]["items"]).all()
    assert (tensors[1]["users"][: len(tensors[0]["users"])] != tensors[0]["users"]).any()
    result = run("fit", "--from", "a", "--events", new, "--freeze", "itms", code=4)
    assert "freeze must name parameters by how they begin: users, items. Got 'itms' instead" in result.stderr


def test_what_was_learned_of_views_begins_a_fit_to_likes(run: Any, halves: list[Path], here: Path) -> None:
    _, _, everything = halves
    weights = ["--event-weights", "view=0,add_to_cart=0,purchase=0"]
    run("fit", "--events", everything, *LIGHT, "--set", "model.epochs=3", "--out", "views")
    run("fit", "--from", "views", "--events", everything, *weights, "--threads", "1", "--out", "likes")
    run("fit", "--events", everything, *weights, *LIGHT, "--set", "model.epochs=3", "--out", "alone")
    likes, alone = Bundle.load(here / "likes"), Bundle.load(here / "alone")
    for name in ("user", "item"):
        assert set(getattr(likes, f"{name}_ids").ids) == set(getattr(alone, f"{name}_ids").ids)
    assert likes.histories.weight is not None and alone.histories.weight is not None
    assert (likes.histories.weight > 0).sum() == (alone.histories.weight > 0).sum()


def test_what_was_learned_of_all_events_goes_on_to_purchases(run: Any, halves: list[Path], here: Path) -> None:
    _, _, everything = halves
    gru = ["--threads", "1", "--set", "model.factors=8", "--set", "model.epochs=1"]
    run("fit", "--events", everything, "--model", "gru", *gru, "--out", "all")
    flags = ["--task", "purchase", "--freeze", "towers", *gru]
    run("fit", "--from", "all", "--events", everything, *flags, "--out", "buys")
    before, after = Bundle.load(here / "all"), Bundle.load(here / "buys")
    assert after.manifest.recipe["model"]["foretell"] == "target"
    assert after.manifest.schema is not None and after.manifest.schema.target == ("purchase",)
    assert (after.histories.weight is None) == (before.histories.weight is None)  # all are read as they were
    was, now = (bundle.start(data_of(bundle)).tensors for bundle in (before, after))
    assert all(np.array_equal(now[name], value) for name, value in was.items())
    assert now["adapter.bias"].any()
    result = run("fit", "--from", "all", "--events", everything, "--task", "purchases", *gru, code=3)
    assert "'purchases' is to be foretold but does not occur" in result.stderr
    assert 'Did you mean "purchase"?' in result.stderr


@pytest.mark.parametrize(
    ("flags", "code", "said"),
    [
        (["--from", "none"], 5, "none is no bundle: there is no such directory"),
        (["--from", "a", "--evaluate"], 4, "--evaluate cannot go with --from"),
        (["--freeze", "items"], 4, "--freeze must come with the bundle"),
        (["--task", "purchase"], 4, "--task must come with the bundle"),
        (["--from", "a", "--task", "purchase"], 4, "--task must go with a model that reads more than it foretells"),
        (["--from", "a", "--model", "ease"], 4, "--from must go with a model that learns in epochs"),
        (["--from", "a"], 5, "This one keeps that of none. Models that learn in epochs leave it"),
    ],
)
def test_what_nothing_goes_on_from(
    run: Any, data_flags: list[object], here: Path, flags: list[str], code: int, said: str
) -> None:
    run("fit", *data_flags, "--model", "popular", "--out", "a")
    model = [] if "--model" in flags else ["--model", "lightgcn"]
    assert said in run("fit", *data_flags, *model, *flags, code=code).stderr


def data_of(bundle: Bundle) -> Dataset:
    users = np.repeat(np.arange(len(bundle.histories)), np.diff(bundle.histories.indptr))
    frame = {"user_id": bundle.user_ids.ids[users], "item_id": bundle.item_ids.ids[bundle.histories.items]}
    return Dataset.from_frames(pl.DataFrame(frame))
