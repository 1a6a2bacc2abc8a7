"""What learns: `Model`, how it is run, how it is found by name, and what its options are."""

from __future__ import annotations

import difflib
import importlib
import importlib.metadata
import importlib.util
import inspect
import logging
import math
import os
import pkgutil
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Any, ClassVar, Self, get_type_hints

import msgspec

from serendip.run import Pace as Pace
from serendip.run import Run as Run
from serendip.run import Start as Start
from serendip.run import Training as Training
from serendip.space import Space
from serendip.types import Floats, Ids, Predictor, Queries, Scorer, SerendipError, Updatable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from serendip.data.change import Change
    from serendip.data.dataset import Dataset
from serendip.data.streamed import Streamed

log = logging.getLogger("serendip.model")

PACKAGE = "serendip.models"


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every model's options: typed, bounded and described once, by ``Annotated[type, Meta(…)]``.

    Every option has a default, so that every model can be fitted by its name alone.
    """


class Model(ABC):
    """What learns from a `Dataset` and can be lowered to a `Scorer`, which is what answers.

    A model is one file: its docstring gives the equation and its source, its ``Config`` the only list of its options.

    Attributes:
        Config: its options.
        summary: one line for lists.
        source: the paper or standard.
        personalised: whether the answer depends on who asks.
        uses_item_features: whether it needs an items table with categories or text.
        predicts_ratings: whether what it learns is a `serendip.types.Predictor`, to be judged by its errors.
        learns_in_epochs: whether the training loop trains it, so that it can be validated, resumed and continued.
        streams: whether it can learn from rows that are read piece by piece (`serendip.data.streamed`).
        synthetic: the function of ``serendip.data.synthetic`` whose data it must rank better than popularity does;
            `serendip.checks` holds it to that.
        space: what `serendip.tune` searches: wide ranges and choices for the options that are worth it. Options that
            are not named keep their defaults.
    """

    Config: ClassVar[type[Config]]
    summary: ClassVar[str]
    source: ClassVar[str]
    personalised: ClassVar[bool] = True
    uses_item_features: ClassVar[bool] = False
    predicts_ratings: ClassVar[bool] = False
    learns_in_epochs: ClassVar[bool] = False
    streams: ClassVar[bool] = False
    synthetic: ClassVar[str] = "checkerboard"
    space: ClassVar[Space] = MappingProxyType({})

    def __init_subclass__(cls, **options: Any) -> None:
        """Refuse a model that does not say what it is (an abstract one need not).

        Raises:
            TypeError: ``Config``, ``summary`` or ``source`` is missing.
        """
        super().__init_subclass__(**options)
        if any(getattr(getattr(cls, name, None), "__isabstractmethod__", False) for name in dir(cls)):
            return
        missing = [name for name in ("Config", "summary", "source") if not hasattr(cls, name)]
        if missing:
            raise TypeError(f"the model {cls.__qualname__} must define {', '.join(missing)} as class attributes.")

    def __init__(self, config: msgspec.Struct | None = None, **options: Any) -> None:
        """Options as a ``Config``, or as keywords that are checked against it.

        Raises:
            SerendipError: an unknown option, or one of the wrong type or out of bounds.
        """
        if config is not None and options:
            raise TypeError("give either a Config or keyword options, not both.")
        if config is not None and not isinstance(config, type(self).Config):
            raise TypeError(f"config must be a {type(self).__name__}.Config. Got {type(config).__qualname__} instead.")
        self.config: msgspec.Struct = config if config is not None else configure(type(self), options)
        self._scorer: Scorer | None = None

    @property
    def name(self) -> str:
        """The name that `find` takes: the file's name, or the dotted path of a model from elsewhere."""
        return name_of(type(self))

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of events that it learns and foretells: that of the option ``label``, or the ratings; none where
        it ranks by interest, and of models of several tasks, whose scorers say which."""
        label = getattr(self.config, "label", None)
        if label is not None:
            return (str(label),)
        return ("rating",) if self.predicts_ratings else ()

    @property
    def learns_labels(self) -> bool:
        """Whether what it foretells is judged event by event: of one label, or of several as tasks."""
        return bool(self.labels)

    @property
    def needs_validation(self) -> bool:
        """Whether it can be fitted only where something is held out to judge it by on the way (`Run.validation`)."""
        return False

    @property
    def labels_first(self) -> bool:
        """Whether that is what it is judged by where no figure is named, and not by the lists that it makes."""
        return self.learns_labels

    @abstractmethod
    def learn(self, data: Dataset, run: Run) -> Scorer:
        """Learn from the data and return what answers. The data are read only."""

    def fit(self, data: Dataset, run: Run | None = None) -> Self:
        """Learn from the data, from scratch; the data are not changed.

        Raises:
            SerendipError: the data are read piece by piece, and the model needs all of them at once; or whatever
                learning raises.
        """
        if isinstance(data, Streamed) and not self.streams:
            raise SerendipError(
                f"{self.name} cannot learn from rows that are read piece by piece. Try a ranker, such as deepfm, or "
                "leaving data.streamed out."
            )
        self._scorer = self.learn(data, run or Run())
        return self

    @property
    def training(self) -> Training | None:
        """How the fit went, for models that learn in epochs."""
        return None

    def learned(self) -> Mapping[str, NDArray[Any]] | None:
        """What the fit learned, by name of the parameter, for a later one to begin with (`Run.start`).

        None for models that know no such beginning, or have not been fitted.
        """
        return None

    def renew(self, known: Scorer, change: Change, run: Run) -> Scorer | None:
        """What answers after a change of the log, from what answered before it; nothing is modified.

        A model overrides this where new events can be taken in for less than a fit, or where a fit is no more than one
        pass over the log.

        Returns:
            A scorer of the items and users after the change; None where the model knows no way but to be fitted again.
        """
        return known.update(change, threads=run.threads) if isinstance(known, Updatable) else None

    def update(self, change: Change, run: Run | None = None) -> Self:
        """A model that has taken in new events without being fitted again; this one stays as it is.

        One that cannot take them in knows what it knew, and new items cannot be scored; a warning says so.

        Args:
            change: ``Change.read(data, events, users, items)`` of the data that the model was fitted on.
            run: threads and seed.

        Raises:
            SerendipError: the model has not been fitted.
        """
        from serendip.scorers.grown import grown

        known, n_users, n_items = self.lower(), change.after.n_users, change.after.n_items
        renewed = self.renew(known, change, run or Run())
        if renewed is None:
            log.warning("%s cannot take in new events: what is new stays unknown to it until it is fitted.", self.name)
        other = type(self)(self.config)
        other._scorer = grown(known, n_users, n_items) if renewed is None else renewed
        return other

    def lower(self) -> Scorer:
        """What answers, without anything that only training needs.

        Raises:
            SerendipError: the model has not been fitted.
        """
        if self._scorer is None:
            raise SerendipError(f"{self.name} has not been fitted: call fit(data) first.")
        return self._scorer

    @property
    def n_items(self) -> int:
        """As `Scorer.n_items`: how many items the fitted vocabulary has."""
        return self.lower().n_items

    def score(self, queries: Queries, items: Ids | None = None) -> Floats:
        """As `Scorer.score`."""
        return self.lower().score(queries, items)

    def predict(self, users: Ids, items: Ids, time: NDArray[np.int64] | None = None) -> Floats:
        """As `serendip.types.Predictor.predict`.

        Raises:
            SerendipError: the model ranks but does not predict ratings.
        """
        scorer = self.lower()
        if not isinstance(scorer, Predictor):
            raise SerendipError(
                f"{self.name} ranks items but does not predict ratings. "
                "Try a model that does, such as baseline, svdpp or rating_knn."
            )
        return scorer.predict(users, items, time)


def name_of(model: type[Model]) -> str:
    """The name by which `find` finds this class."""
    module = model.__module__
    if module.startswith(PACKAGE + "."):
        return module.removeprefix(PACKAGE + ".")
    alone = len(_defined_in(sys.modules[module])) == 1 if module in sys.modules else True
    return module if alone else f"{module}:{model.__qualname__}"


def names() -> list[str]:
    """Every model there is: those of this package, those of installed packages (entry points of the group
    ``serendip.models``), and the dotted paths in the environment variable ``SERENDIP_MODELS`` (separated by commas)."""
    installed = sorted(point.value for point in importlib.metadata.entry_points(group=PACKAGE))
    named = [path.strip() for path in os.environ.get("SERENDIP_MODELS", "").split(",") if path.strip()]
    return list(dict.fromkeys([*_own(), *installed, *named]))


def find(name: str) -> type[Model]:
    """The model of that name.

    Args:
        name: a file of ``serendip.models`` (``ials``), or elsewhere the dotted path of a module that holds one model
            (``their.package``), or of a class (``their.package:Theirs``, ``their.package.Theirs``).

    Raises:
        SerendipError: no such model, with the nearest known name; a module with no model, or several; or a module that
            cannot be imported, with the cause.
    """
    if name in _own():
        return _only(_import(f"{PACKAGE}.{name}"))
    path, colon, attribute = name.partition(":")
    if not colon and not _exists(path):
        parent, dot, last = path.rpartition(".")
        if dot and last.isidentifier() and _exists(parent):
            path, attribute = parent, last
    if not _exists(path):
        raise _unknown(name)
    module = _import(path)
    return _only(module) if not attribute else _named(module, attribute)


def _own() -> list[str]:
    package = importlib.import_module(PACKAGE)
    return sorted(module.name for module in pkgutil.iter_modules(package.__path__) if not module.name.startswith("_"))


def _exists(path: str) -> bool:
    """Whether a module of that dotted path can be found. Its parent packages are imported for that."""
    if not all(part.isidentifier() for part in path.split(".")):
        return False
    try:
        return importlib.util.find_spec(path) is not None
    except ModuleNotFoundError as error:
        if error.name is not None and (path == error.name or path.startswith(error.name + ".")):
            return False
        raise _broken(path, error) from error
    except ValueError:  # a module in sys.modules that has no spec, such as __main__ run as a script
        return path in sys.modules
    except Exception as error:
        raise _broken(path, error) from error


def _import(path: str) -> ModuleType:
    try:
        return importlib.import_module(path)
    except Exception as error:
        raise _broken(path, error) from error


def _broken(path: str, error: Exception) -> SerendipError:
    return SerendipError(f"the module {path} cannot be imported: {type(error).__name__}: {error}. Mend that first.")


def _defined_in(module: ModuleType) -> list[type[Model]]:
    """The concrete models that the module, or for a package one of its modules, defines."""
    classes = dict.fromkeys(value for value in vars(module).values() if inspect.isclass(value))
    return [
        value
        for value in classes
        if issubclass(value, Model)
        and not inspect.isabstract(value)
        and f"{value.__module__}.".startswith(f"{module.__name__}.")
    ]


def _only(module: ModuleType) -> type[Model]:
    found = _defined_in(module)
    if len(found) == 1:
        return found[0]
    if not found:
        raise SerendipError(f"{module.__name__} must define a subclass of serendip.model.Model. It defines none.")
    listed = ", ".join(f"{module.__name__}:{model.__qualname__}" for model in found)
    raise SerendipError(f"{module.__name__} defines {len(found)} models. Name one of them: {listed}.")


def _named(module: ModuleType, attribute: str) -> type[Model]:
    value = getattr(module, attribute, None)
    if inspect.isclass(value) and issubclass(value, Model) and not inspect.isabstract(value):
        return value
    known = [model.__qualname__ for model in _defined_in(module)]
    what = "has nothing of that name" if value is None else "holds something else under that name"
    listed = f" It defines {', '.join(known)}." if known else ""
    raise SerendipError(
        f"{module.__name__}:{attribute} must be a subclass of serendip.model.Model. The module {what}.{listed}"
    )


def _unknown(name: str) -> SerendipError:
    known = names()
    near = nearest(name, known)
    if near is None and ("." in name or ":" in name):
        return SerendipError(
            f"there is no model {name!r}: no module of that path can be found. "
            "Is its package installed, or its directory on PYTHONPATH?"
        )
    guess = f"Did you mean {near!r}? " if near else ""
    return SerendipError(
        f"there is no model {name!r}. {guess}Known: {', '.join(known)}; or give the dotted path of a module of yours."
    )


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that looks most like this one, for "did you mean"; None where nothing is close."""
    choices = list(known)
    by_folded = {choice.casefold(): choice for choice in choices}
    found = difflib.get_close_matches(name.casefold().replace("-", "_"), by_folded, n=1, cutoff=0.6)
    return by_folded[found[0]] if found else None


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a model, as lists, documentation and the command line show it.

    Attributes:
        name: as it is written.
        type: ``int``, ``float``, ``text``, ``true or false``, a ``list`` or ``table of`` such, or the allowed values
            separated by ``|``.
        default: its value when it is not given; ``msgspec.NODEFAULT`` where it must be given.
        bounds: such as ``≥ 1, < 10``, or empty.
        doc: one line.
    """

    name: str
    type: str
    default: Any
    bounds: str
    doc: str

    @property
    def expected(self) -> str:
        """Type and bounds in one phrase."""
        kind = self.type.removesuffix(" | none")
        return " ".join(part for part in (kind, self.bounds, "or none" if kind != self.type else "") if part)


def describe(model: type[Model]) -> list[Option]:
    """The options of a model, in the order in which it declares them."""
    info = msgspec.inspect.type_info(model.Config)
    assert isinstance(info, msgspec.inspect.StructType)
    return [_option(field) for field in info.fields]


_BOUNDS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<", "min_length": "length ≥", "max_length": "length ≤"}


def _option(field: msgspec.inspect.Field) -> Option:
    doc = ""
    kind = field.type
    if isinstance(kind, msgspec.inspect.Metadata):
        doc = (kind.extra_json_schema or {}).get("description", "")
        kind = kind.type
    parts = kind.types if isinstance(kind, msgspec.inspect.UnionType) else (kind,)
    bounds = [bound for part in parts for bound in _bounds(part)]
    make = field.default_factory
    default = field.default if field.default is not msgspec.NODEFAULT or make is msgspec.NODEFAULT else make()
    return Option(field.name, " | ".join(_kind(part) for part in parts), default, ", ".join(bounds), doc)


def _bounds(kind: msgspec.inspect.Type) -> list[str]:
    found = [(sign, getattr(kind, key, None)) for key, sign in _BOUNDS.items()]
    return [f"{sign} {limit:g}" for sign, limit in found if limit is not None]


def _kind(kind: msgspec.inspect.Type) -> str:
    if isinstance(kind, msgspec.inspect.Metadata):
        return _kind(kind.type)
    if isinstance(kind, msgspec.inspect.ListType | msgspec.inspect.VarTupleType):
        return " ".join(("list of", _kind(kind.item_type), *_bounds(kind.item_type)))
    if isinstance(kind, msgspec.inspect.DictType):
        return " ".join(("table of", _kind(kind.value_type), *_bounds(kind.value_type)))
    if isinstance(kind, msgspec.inspect.LiteralType):
        return " | ".join(str(value) for value in kind.values)
    name = type(kind).__name__.removesuffix("Type").lower()
    return {"str": "text", "bool": "true or false"}.get(name, name)


def configure(model: type[Model], options: dict[str, Any]) -> Config:
    """Options as the model's ``Config``. NumPy numbers are taken as plain ones.

    Raises:
        SerendipError: naming the model, the option, what was expected, what came, and the nearest known name.
    """
    name = name_of(model)
    known = {option.name: option for option in describe(model)}
    hints = get_type_hints(model.Config, include_extras=True)
    plain = {}
    for key, given in options.items():
        if key not in known:
            near = nearest(key, known)
            guess = f"Did you mean {near!r}? " if near else ""
            raise SerendipError(f"{name} has no option {key!r}. {guess}It has: {', '.join(known) or 'none'}.")
        value = given.item() if type(given).__module__ == "numpy" and getattr(given, "ndim", None) == 0 else given
        finite = not isinstance(value, float) or math.isfinite(value)
        try:
            plain[key] = msgspec.convert(value, hints[key])
        except msgspec.ValidationError as error:
            raise _refused(name, known[key], value) from error
        if not finite:
            raise _refused(name, known[key], value)
    try:
        return msgspec.convert(plain, model.Config)
    except msgspec.ValidationError as error:
        raise SerendipError(f"{name}: {error}") from error


def _refused(model: str, option: Option, value: Any) -> SerendipError:
    return SerendipError(
        f"{model}: {option.name} must be {option.expected}. Got {value!r} instead. Its default is {option.default!r}."
    )
