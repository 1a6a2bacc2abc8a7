"""What learns: `Model`, how it is run, and how it is found by name."""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect
import os
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import msgspec

from serendip.types import Floats, Ids, Queries, Scorer, SerendipError

if TYPE_CHECKING:
    from serendip.data.dataset import Dataset


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every model's options: typed, bounded and described once, by ``Annotated[type, Meta(…)]``."""


@dataclass(frozen=True)
class Run:
    """How a fit is carried out; never what is fitted.

    Attributes:
        seed: of every random choice.
        threads: how many threads the kernels and BLAS may use; None: all cores this process may run on.
        progress: called as ``progress(done, total)`` while the fit goes on, or None.
    """

    seed: int = 0
    threads: int | None = None
    progress: Callable[[int, int], None] | None = None


class Model(ABC):
    """What learns from a `Dataset` and can be lowered to a `Scorer`, which is what answers.

    A model is one file: its docstring gives the equation and its source, its ``Config`` is the only list of its options.

    Attributes:
        Config: its options.
        summary: one line for lists.
        source: the paper or standard.
        personalised: whether the answer depends on who asks.
        uses_item_features: whether it needs an items table with categories or text.
    """

    Config: ClassVar[type[Config]]
    summary: ClassVar[str]
    source: ClassVar[str]
    personalised: ClassVar[bool] = True
    uses_item_features: ClassVar[bool] = False

    def __init__(self, config: Config | None = None, **options: Any) -> None:
        """Options as a ``Config``, or as keywords that are checked against it.

        Raises:
            SerendipError: an unknown option, or one of the wrong type or out of bounds.
        """
        if config is not None and options:
            raise TypeError("give either a Config or keyword options, not both.")
        self.config = config if config is not None else configure(type(self), options)
        self._scorer: Scorer | None = None

    @property
    def name(self) -> str:
        """The name that `find` takes: the file's name, or the dotted path of a model from elsewhere."""
        module = type(self).__module__
        return module.removeprefix("serendip.models.")

    @abstractmethod
    def learn(self, data: Dataset, run: Run) -> Scorer:
        """Learn from the data and return what answers."""

    def fit(self, data: Dataset, run: Run | None = None) -> Self:
        """Learn from the data, from scratch; the data are not changed."""
        self._scorer = self.learn(data, run or Run())
        return self

    def lower(self) -> Scorer:
        """What answers, without anything that only training needs."""
        if self._scorer is None:
            raise SerendipError(f"{self.name} has not been fitted: call fit(data) first.")
        return self._scorer

    def score(self, queries: Queries, items: Ids | None = None) -> Floats:
        """As `Scorer.score`."""
        return self.lower().score(queries, items)


def configure(model: type[Model], options: dict[str, Any]) -> Config:
    """Options as the model's ``Config``.

    Raises:
        SerendipError: naming the option, what was expected and what came, and the nearest known name.
    """
    try:
        return msgspec.convert(options, model.Config)
    except msgspec.ValidationError as error:
        raise SerendipError(f"{model.__module__.rpartition('.')[2]}: {error}") from error


def names() -> list[str]:
    """Every model there is: those of this package, of installed packages (entry points of the group ``serendip.models``),
    and the dotted paths in the environment variable ``SERENDIP_MODELS`` (separated by commas)."""
    package = importlib.import_module("serendip.models")
    own = sorted(module.name for module in pkgutil.iter_modules(package.__path__))
    installed = sorted(point.value for point in importlib.metadata.entry_points(group="serendip.models"))
    named = [path.strip() for path in os.environ.get("SERENDIP_MODELS", "").split(",") if path.strip()]
    return list(dict.fromkeys([*own, *installed, *named]))


def find(name: str) -> type[Model]:
    """The model of that name: a file of ``serendip.models``, or the dotted path of a module (or class) elsewhere.

    Raises:
        SerendipError: no such model, with the nearest known name; or a module with no model, or several.
    """
    raise NotImplementedError
