from __future__ import annotations

import importlib.metadata
import sys
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import numpy as np
import pytest

import serendip.models
from serendip.data.dataset import Dataset
from serendip.data.synthetic import checkerboard
from serendip.model import Config, Model, Run, describe, find, name_of, names, nearest
from serendip.scorers import StaticScores
from serendip.types import Scorer, SerendipError


class SampleOptions(Config, frozen=True):
    factors: Annotated[int, msgspec.Meta(ge=1, le=512, description="How many.")] = 8
    reg: Annotated[float, msgspec.Meta(gt=0, description="How strong.")] = 0.1
    half_life: Annotated[Annotated[float, msgspec.Meta(gt=0)] | None, msgspec.Meta(description="Days.")] = None
    mode: Annotated[Literal["auto", "binary"], msgspec.Meta(description="Which.")] = "auto"
    deep: Annotated[bool, msgspec.Meta(description="Whether.")] = False


class Sample(Model):
    """Scores of 0 for everything."""

    Config = SampleOptions
    config: SampleOptions
    summary = "Nothing much."
    source = "Nowhere"
    personalised = False

    def learn(self, data: Dataset, run: Run) -> Scorer:
        return StaticScores(np.zeros(data.n_items, np.float32))


FILE = '''
"""A model in one file."""
import numpy as np
from serendip.model import Config, Model
from serendip.scorers import StaticScores


class Nothing(Config, frozen=True):
    """No options."""


class {name}(Model):
    """All the same."""

    Config = Nothing
    summary = "All the same."
    source = "Nowhere"
    personalised = False

    def learn(self, data, run):
        return StaticScores(np.zeros(data.n_items, np.float32))
'''


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory where Python finds modules; what a test imports from it is forgotten afterwards."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) and str(tmp_path) in str(sys.modules[name].__file__):
            del sys.modules[name]


def test_every_file_of_the_package_is_a_model() -> None:
    own = sorted(file.stem for file in Path(serendip.models.__path__[0]).glob("[a-z]*.py"))
    assert {"content", "ease", "ials", "item_knn", "popular"} <= set(own)
    assert [name for name in names() if "." not in name] == own
    for name in own:
        model = find(name)
        assert name_of(model) == model().name == name


def test_names_include_installed_and_listed_models(monkeypatch: pytest.MonkeyPatch) -> None:
    point = importlib.metadata.EntryPoint("any", "their.package", "serendip.models")
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [point] if group == "serendip.models" else [])
    monkeypatch.setenv("SERENDIP_MODELS", " mine.first, mine.second ,,their.package")
    assert names()[-3:] == ["their.package", "mine.first", "mine.second"]


@pytest.mark.parametrize("path", ["single_sample", "single_sample:Single", "single_sample.Single"])
def test_a_file_elsewhere_is_found(elsewhere: Path, path: str) -> None:
    (elsewhere / "single_sample.py").write_text(FILE.format(name="Single"))
    model = find(path)
    assert model.__qualname__ == "Single"
    assert name_of(model) == "single_sample"
    assert find(name_of(model)) is model


def test_a_package_that_passes_on_its_model_is_found(elsewhere: Path) -> None:
    package = elsewhere / "sample_package"
    package.mkdir()
    (package / "inner.py").write_text(FILE.format(name="Inner"))
    (package / "__init__.py").write_text("from sample_package.inner import Inner\nfrom serendip.model import Model\n")
    assert find("sample_package") is find("sample_package.inner") is find("sample_package.Inner")


def test_of_several_models_one_must_be_named(elsewhere: Path) -> None:
    (elsewhere / "several_sample.py").write_text(FILE.format(name="One") + FILE.format(name="Two"))
    with pytest.raises(SerendipError, match=r"defines 2 models.*several_sample:One, several_sample:Two"):
        find("several_sample")
    two = find("several_sample:Two")
    assert two.__qualname__ == "Two"
    assert name_of(two) == "several_sample:Two"
    with pytest.raises(SerendipError, match=r"several_sample:Three must be a subclass.*It defines One, Two"):
        find("several_sample:Three")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("iasl", "there is no model 'iasl'. Did you mean 'ials'?"),
        ("item-knn", "Did you mean 'item_knn'?"),
        ("Popular", "Did you mean 'popular'?"),
        ("zzz", "; or give the dotted path of a module of yours."),
        ("no.such.module", "no module of that path can be found"),
        ("", "there is no model ''"),
        ("a b", "there is no model 'a b'"),
        (".ials", "there is no model '.ials'"),
        ("json", "json must define a subclass of serendip.model.Model. It defines none."),
        ("serendip.model:Run", "holds something else under that name"),
        ("serendip.model:Model", "holds something else under that name"),
        ("serendip.model:Missing", "has nothing of that name"),
    ],
)
def test_what_cannot_be_found_is_explained(name: str, message: str) -> None:
    with pytest.raises(SerendipError) as caught:
        find(name)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        ("import no_such_library_at_all\n", "ModuleNotFoundError: No module named 'no_such_library_at_all'"),
        ("1 / 0\n", "ZeroDivisionError: division by zero"),
        ("def (:\n", "SyntaxError"),
    ],
)
def test_a_module_that_cannot_be_imported_is_shown_with_its_cause(elsewhere: Path, content: str, cause: str) -> None:
    (elsewhere / "broken_sample.py").write_text(content)
    with pytest.raises(SerendipError) as caught:
        find("broken_sample")
    assert "broken_sample cannot be imported" in str(caught.value)
    assert cause in str(caught.value)
    assert caught.value.__cause__ is not None


def test_a_broken_parent_package_is_shown_with_its_cause(elsewhere: Path) -> None:
    (elsewhere / "broken_parent").mkdir()
    (elsewhere / "broken_parent" / "__init__.py").write_text("import no_such_library_at_all\n")
    with pytest.raises(SerendipError, match=r"cannot be imported.*no_such_library_at_all"):
        find("broken_parent.inner")


def test_options_are_described() -> None:
    described = {option.name: option for option in describe(Sample)}
    assert list(described) == ["factors", "reg", "half_life", "mode", "deep"]
    assert described["factors"].bounds == "≥ 1, ≤ 512"
    assert described["factors"].doc == "How many."
    assert described["factors"].default == 8
    assert {name: option.expected for name, option in described.items()} == {
        "factors": "int ≥ 1, ≤ 512",
        "reg": "float > 0",
        "half_life": "float > 0 or none",
        "mode": "auto | binary",
        "deep": "true or false",
    }


def test_defaults_that_are_made_anew_are_described_by_their_value() -> None:
    class Lists(Config, frozen=True, kw_only=True):
        layers: Annotated[list[int], msgspec.Meta(min_length=1, description="Sizes.")] = msgspec.field(
            default_factory=lambda: [64, 32]
        )
        weights: dict[str, Annotated[float, msgspec.Meta(ge=0)]] = {}  # noqa: RUF012  (msgspec gives each its own)
        needed: int

    layered = type("Layered", (Sample,), {"Config": Lists})
    layers, weights, needed = describe(layered)
    assert (layers.type, layers.bounds, layers.default) == ("list of int", "length ≥ 1", [64, 32])
    assert (weights.type, weights.default) == ("table of float ≥ 0", {})
    assert needed.default is msgspec.NODEFAULT
    with pytest.raises(SerendipError, match=r"weights must be table of float ≥ 0\. Got \{'a': -1\} instead"):
        layered(needed=1, weights={"a": -1})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"factor": 3}, "has no option 'factor'. Did you mean 'factors'? It has: factors, reg, half_life, mode, deep."),
        ({"factors": 0}, "factors must be int ≥ 1, ≤ 512. Got 0 instead. Its default is 8."),
        ({"factors": 513}, "Got 513 instead"),
        ({"factors": 2.5}, "Got 2.5 instead"),
        ({"factors": True}, "Got True instead"),
        ({"factors": "8"}, "factors must be int ≥ 1, ≤ 512. Got '8' instead"),
        ({"reg": 0}, "reg must be float > 0. Got 0 instead"),
        ({"reg": float("inf")}, "reg must be float > 0. Got inf instead"),
        ({"reg": float("nan")}, "Got nan instead"),
        ({"half_life": -1}, "half_life must be float > 0 or none. Got -1 instead"),
        ({"mode": "other"}, "mode must be auto | binary. Got 'other' instead"),
        ({"deep": 1}, "deep must be true or false. Got 1 instead"),
        ({"factors": np.zeros(3)}, "factors must be int"),
    ],
)
def test_wrong_options_are_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(SerendipError) as caught:
        Sample(**options)
    assert message in str(caught.value)


def test_options_are_taken_from_plain_and_numpy_values() -> None:
    config = Sample(factors=np.int64(16), reg=np.float32(0.5), half_life=3).config
    assert config == SampleOptions(factors=16, reg=0.5, half_life=3.0)
    assert type(config.factors) is int
    assert Sample(config).config is config


def test_config_and_keywords_do_not_mix() -> None:
    with pytest.raises(TypeError, match="either a Config or keyword"):
        Sample(SampleOptions(), factors=3)
    with pytest.raises(TypeError, match=r"must be a Sample\.Config"):
        Sample(find("popular")().config)


def test_a_model_must_say_what_it_is() -> None:
    with pytest.raises(TypeError, match="must define Config, summary, source"):
        type("Silent", (Model,), {"learn": lambda self, data, run: None})


def test_an_abstract_base_need_not_say_what_it_is() -> None:
    base = type("Base", (Model,), {})
    with pytest.raises(TypeError, match="abstract"):
        base()


def test_a_model_must_be_fitted_before_it_answers() -> None:
    with pytest.raises(SerendipError, match=r"has not been fitted: call fit\(data\) first"):
        Sample().lower()
    data = checkerboard(4, 6)
    assert Sample().fit(data).n_items == 6


def test_run_reports_progress_and_checks_threads() -> None:
    seen: list[tuple[int, int]] = []
    Run(progress=lambda done, total: seen.append((done, total))).report(2, 5)
    Run().report(1, 1)
    assert seen == [(2, 5)]
    with pytest.raises(SerendipError, match=r"threads must be at least 1. Got 0 instead"):
        Run(threads=0)


def test_nearest() -> None:
    assert nearest("Half-Life", ["half_life", "weight"]) == "half_life"
    assert nearest("qqq", ["half_life", "weight"]) is None
