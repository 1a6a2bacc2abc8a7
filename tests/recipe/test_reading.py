"""Recipes from files, flags and overrides; and what is said of those that cannot be used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from serendip.data.features.declared import Category, Cycle, Number, Sentence
from serendip.evaluate.ratings import METRICS
from serendip.recipe import Choice, RecipeError, override, read
from serendip.recipe.reading import ROW_METRICS, line_of


@pytest.fixture
def recipe(tmp_path: Path) -> Any:
    def write(text: str) -> Path:
        path = tmp_path / "recipe.toml"
        path.write_text(text)
        return path

    return write


def message(*args: Any, **kwargs: Any) -> str:
    with pytest.raises(RecipeError) as caught:
        read(*args, **kwargs)
    return str(caught.value)


def test_an_empty_recipe_holds_the_defaults(recipe: Any) -> None:
    found = read(recipe(""))
    assert found == read()
    assert found.model == Choice("ials")
    assert found.evaluate.compare == (Choice("popular"), Choice("item_knn"))


def test_rows_without_users_are_answered_by_their_model_alone() -> None:
    assert read(overrides=["data.examples=x.csv"]).pipeline.fallback == ()
    said = read(overrides=["data.examples=x.csv", 'pipeline.fallback=["popular"]'])
    assert said.pipeline.fallback == (Choice("popular"),)


def test_values_arrive_in_their_sections(recipe: Any) -> None:
    found = read(
        recipe(
            """
            [data]
            events = "log.parquet"
            columns = { timestamp = "time_rank", categories = ["genre", "tag"] }
            positive_from = 4
            event_weights = { view = 1, "add to cart" = 2.5 }
            [model]
            name = "ease"
            reg = 12
            [pipeline]
            fallback = ["content", { name = "popular", half_life = 30 }]
            [run]
            out = "bundle"
            """
        )
    )
    assert found.data.columns == {"timestamp": "time_rank", "categories": ("genre", "tag")}
    assert found.data.positive_from == 4.0
    assert found.data.event_weights == {"view": 1.0, "add to cart": 2.5}
    assert found.model == Choice("ease", {"reg": 12})
    assert found.pipeline.fallback == (Choice("content"), Choice("popular", {"half_life": 30}))


def test_a_model_may_stand_as_its_name_alone(recipe: Any) -> None:
    assert read(recipe('model = "popular"')).model == Choice("popular")


def test_options_without_a_name_belong_to_the_default_model(recipe: Any) -> None:
    assert read(recipe("[model]\nfactors = 8")).model == Choice("ials", {"factors": 8})


def test_paths_in_a_file_are_relative_to_it_and_given_ones_are_not(recipe: Any, tmp_path: Path) -> None:
    path = recipe(
        '[data]\nevents = "log.parquet"\nitems = "/elsewhere/items.parquet"\nusers = "u.parquet"\n'
        'relations = {trust = "trust.csv", friends = "/elsewhere/friends.csv"}\n[run]\nout = "b"'
    )
    found = read(path, ["data.users=mine.parquet"])
    assert found.data.events == str(tmp_path / "log.parquet")
    assert found.data.items == "/elsewhere/items.parquet"
    assert found.data.users == "mine.parquet"
    assert found.data.relations == {"trust": str(tmp_path / "trust.csv"), "friends": "/elsewhere/friends.csv"}
    assert found.run.out == str(tmp_path / "b")
    assert read(path, ["data.relations.trust=mine.csv"]).data.relations["trust"] == "mine.csv"


def test_the_folder_of_an_encoder_is_a_path_too(recipe: Any, tmp_path: Path) -> None:
    path = recipe('[features.title]\nkind = "sentence"\nside = "item"\nencoder = "lm"')
    assert read(path).features["title"] == Sentence(side="item", encoder=str(tmp_path / "lm"))
    assert read(path, ["features.title.encoder=lm"]).features["title"] == Sentence(side="item", encoder="lm")


def test_options_may_be_chosen_by_the_errors_of_ratings(recipe: Any) -> None:
    assert set(METRICS) < set(ROW_METRICS)
    for metric in METRICS:
        assert read(recipe(f'[tune]\nmetric = "{metric}"')).tune.metric == metric


def test_relations_are_a_table_of_paths(recipe: Any) -> None:
    with pytest.raises(RecipeError, match=r'data\.relations must be a table, each value text\. Got "trust\.csv"'):
        read(recipe('[data]\nrelations = "trust.csv"'))
    with pytest.raises(RecipeError, match=r"line 2: data\.relations\.trust must be text\. Got 3 instead"):
        read(recipe("[data]\nrelations = {trust = 3}"))


def test_overrides_win_over_flags_and_flags_over_the_file(recipe: Any) -> None:
    path = recipe("[run]\nseed = 1\nthreads = 1")
    assert read(path, given={"run": {"seed": 2}}).run.seed == 2
    assert read(path, ["run.seed=3"], given={"run": {"seed": 2, "threads": 2}}).run.seed == 3


def test_a_named_model_replaces_the_recipes_options(recipe: Any) -> None:
    path = recipe('[model]\nname = "ials"\nfactors = 8')
    assert read(path, model="popular").model == Choice("popular")
    assert read(path, ["model.half_life=3"], model="popular").model == Choice("popular", {"half_life": 3})
    assert read(path, ["model.factors=16"]).model == Choice("ials", {"factors": 16})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a.b=3", (("a", "b"), 3)),
        ("a.b = 0.5", (("a", "b"), 0.5)),
        ("a.b=true", (("a", "b"), True)),
        ("a.b=word", (("a", "b"), "word")),
        ('a.b="word"', (("a", "b"), "word")),
        ("a.b=two words", (("a", "b"), "two words")),
        ("a.b=", (("a", "b"), "")),
        ("a.b=x=y", (("a", "b"), "x=y")),
        ('a.b=["x", "y"]', (("a", "b"), ["x", "y"])),
        ('a."b c"=1', (("a", "b c"), 1)),
        ("a.b={c = 1}", (("a", "b"), {"c": 1})),
        ("a.b=1\nc=2", (("a", "b"), "1\nc=2")),
    ],
)
def test_an_override_is_a_key_and_a_toml_value(text: str, expected: object) -> None:
    assert override(text) == expected


@pytest.mark.parametrize("text", ["", "a", "=1", "a b=1", "a.=1", "a\nb=1", "[a]=1"])
def test_what_is_no_override_is_refused(text: str) -> None:
    with pytest.raises(RecipeError, match=r"--set must be section\.key=value"):
        override(text)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("[evaluate]\nmertics = 3", ["line 2", "unknown key 'evaluate.mertics'", "Did you mean 'evaluate.metrics'?"]),
        ("[evlauate]\nn = 3", ["line 1", "unknown key 'evlauate'", "Did you mean 'evaluate'?", "A recipe has: data,"]),
        ('[evaluate]\n\nn = "x"', ["line 3", "evaluate.n must be a whole number ≥ 1", 'Got "x" instead']),
        ("evaluate.n = 0", ["line 1", "evaluate.n must be a whole number ≥ 1", "Got 0 instead"]),
        ("[data]\nstrict = 1", ["line 2", "data.strict must be true or false", "Got 1 instead"]),
        ("[data]\nstrict = true\nevents = 3", ["line 3", "data.events must be text", "Got 3 instead"]),
        ("[evaluate]\ntest = 1.5", ["evaluate.test must be a number > 0 and < 1", "Got 1.5 instead"]),
        ('[evaluate]\nsplit = "lastout"', ['evaluate.split must be one of "at_random"', 'Did you mean "last_out"?']),
        ('[evaluate]\nmetrics = ["ndcg@10", 3]', ["evaluate.metrics[1] must be text", "Got 3 instead"]),
        ("[evaluate]\nmetrics = []", ["evaluate.metrics must be a list with at least one entry", "Got [] instead"]),
        ('[evaluate]\nmetrics = ["mrr@5", "ndgc@10"]', ["line 2: evaluate.metrics[1]:", "Did you mean 'ndcg'?"]),
        ('[tune]\nmetric = "ndgc@10"', ["line 2: tune.metric: A metric must be one of", "Did you mean 'ndcg'?"]),
        ('[evaluate]\nmetrics = ["loglos"]', ["Figures of events one by one are auc, gauc, logloss, ece"]),
        ('[tune]\nmetric = "ndcg"', ["tune.metric: ndcg must say how many places count"]),
        ('[evaluate]\nmetrics = ["ndcg@0"]', ["evaluate.metrics[0]: ndcg must say how many places count"]),
        ('[data]\nevent_weights = { view = "x" }', ["data.event_weights.view must be a number ≥ 0", 'Got "x" instead']),
        ('[data.labels]\nwatch = "time"', ['data.labels.watch must be one of "binary"', 'Got "time" instead']),
        ("data = 3", ["data must be a table, [data]", "Got 3 instead"]),
        ("[model]\nname = 3", ["model must be a model's name", "{'name': 3}"]),
        ('[model]\nname = "ialss"', ["line 2", "there is no model 'ialss'", "Did you mean 'ials'?"]),
        ('[model]\nname = "ials"\nfactor = 3', ["line 3", "ials has no option 'factor'", "Did you mean 'factors'?"]),
        ('[model]\nname = "ials"\nfactors = "x"', ["line 3", "factors must be int", "Got 'x' instead"]),
        ('[pipeline]\nfallback = "popular"', ["pipeline.fallback must be a list", 'Got "popular" instead']),
        ('[evaluate]\ncompare = ["popular", "eas"]', ["evaluate.compare[1]", "Did you mean 'ease'?"]),
        ("[evaluate]\ncompare = [{ factors = 3 }]", ["evaluate.compare[0] must be a model's name"]),
    ],
)
def test_what_cannot_be_used_is_named_with_its_place(recipe: Any, text: str, parts: list[str]) -> None:
    found = message(recipe(text))
    assert found.startswith(str(recipe(text)))
    for part in parts:
        assert part in found


def test_an_error_in_an_override_names_the_override(recipe: Any) -> None:
    path = recipe("[evaluate]\nn = 3")
    assert message(path, ["evaluate.n=x"]).startswith("--set evaluate.n=x: evaluate.n must be")
    assert message(path, ["evlauate.n=1"]).startswith("--set evlauate.n=1: unknown key 'evlauate'")
    assert message(path, ["evaluate.metrics=[1]"]).startswith("--set evaluate.metrics=[1]: evaluate.metrics[0]")
    assert message(path, ["model=3"], model="ials").startswith("--set model=3: model must be")
    assert message(path, ["data=3"]).startswith("--set data=3: data must be a table")


def test_an_error_in_a_flag_names_the_flag() -> None:
    assert message(given={"data": {"time_kind": "unx"}}).startswith("--time-kind: data.time_kind must be one of")
    assert message(model="nope").startswith("--model: model: there is no model 'nope'")


@pytest.mark.parametrize(
    ("text", "place"), [("[model\nx = 1", "1:7"), ('[model]\nname = "x\n', "2:10"), ("[data]\na = [", "2:end")]
)
def test_broken_toml_is_located(recipe: Any, text: str, place: str) -> None:
    path = recipe(text)
    found = message(path)
    assert found.startswith(f"{path}:{place}: this is not valid TOML:")


def test_a_log_in_the_place_of_a_recipe_is_recognised(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("user_id,item_id\n1,2\n")
    assert f"Try --events {path} to read a log without a recipe." in message(path)


def test_a_file_that_is_not_there_or_not_text(tmp_path: Path) -> None:
    assert "there is no such recipe. `serendip init --events FILE` writes one." in message(tmp_path / "no.toml")
    assert "This is a directory." in message(tmp_path)
    (tmp_path / "b.toml").write_bytes(b"a = 1\xff")
    assert "must be UTF-8 text. Byte 5 is not." in message(tmp_path / "b.toml")


def test_lines_are_found_in_tables_and_dotted_keys() -> None:
    text = "# run.seed = 3\n[data]\nevents = 'x'\n\n[data.labels]\nwatch = 'y'\n[run]\nseed=1"
    assert line_of(text, ("data", "events")) == 3
    assert line_of(text, ("data", "labels", "watch")) == 6
    assert line_of(text, ("run", "seed")) == 8
    assert line_of(text, ("run",)) == 7
    assert line_of(text, ("run", "threads")) is None
    assert line_of("run.seed = 2", ("run", "seed")) == 1


def test_plain_values_make_the_same_recipe_again(recipe: Any) -> None:
    found = read(
        recipe(
            '[data]\nevents = "x"\nevent_weights = { a = 2 }\n[model]\nname = "ease"\nreg = 5\n[pipeline]\nk = 3\n'
            'fallback = [{ name = "popular", half_life = 2 }]\n[evaluate]\nmetrics = ["mrr@5"]'
        )
    )
    assert read(found.plain()) == found
    assert "run" not in found.plain()


def test_the_callers_values_are_not_changed() -> None:
    plain = {"data": {"events": "x"}}
    read(plain, ["data.events=y"])
    assert plain == {"data": {"events": "x"}}


FEATURES = """
[features]
price = { kind = "number", side = "item" }
[features.genres]
kind = "category"
side = "item"
multivalent = true
"""


def test_features_arrive_as_declared(recipe: Any) -> None:
    found = read(recipe(FEATURES), ["features.price.quantiles=7", "features.hour.kind=cycle"])
    assert found.features == {
        "price": Number(side="item", quantiles=7),
        "genres": Category(side="item", multivalent=True),
        "hour": Cycle(),
    }
    assert read(found.plain()).features == found.features


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[features]\nx = { kind = "categry" }', ["recipe.toml, line 2: features.x", 'Did you mean "category"?']),
        ('[features]\nx = { side = "item" }', ["features.x must be a table with its kind, one of category, hash"]),
        ('[features]\nx = "category"', ['such as {kind = "category", side = "item"}. Got "category" instead']),
        ('[features.x]\nkind = "hash"', ['features.x.side must be one of "context", "item", "user"']),
        (
            '[features.x]\nkind = "hash"\nside = "item"\nbukets = 3',
            [
                "line 4: unknown key 'features.x.bukets'. Did you mean 'features.x.buckets'? "
                "[features.x] has: side, column"
            ],
        ),
        (
            '[features.x]\nkind = "hash"\nside = "item"\nbuckets = 0',
            ["line 4: features.x.buckets must be a whole number ≥ 1 and ≤ 1.07374e+09. Got 0 instead."],
        ),
        ('[features.x]\nkind = "text"\nside = "itm"', ["features.x.side must be one of", 'Did you mean "item"?']),
    ],
)
def test_features_that_cannot_be_used(recipe: Any, text: str, expected: list[str]) -> None:
    said = message(recipe(text))
    assert all(part in said for part in expected), said
