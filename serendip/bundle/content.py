"""What a bundle holds ↔ the files of its content. What is read is not trusted."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, Protocol, cast

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from serendip import scorers as kinds
from serendip.bundle import tensorfile
from serendip.bundle.attributes import Attributes, plain, read_by
from serendip.bundle.errors import BundleError
from serendip.bundle.golden import Golden, record
from serendip.bundle.shelving import shelved
from serendip.bundle.store import File
from serendip.data.check import MOST_EVENT_TYPES, MOST_OTHERS
from serendip.data.dataset import Dataset, Histories
from serendip.data.events import Kinds
from serendip.data.features import Features
from serendip.data.vocab import Vocab
from serendip.index import VectorIndex, unpack
from serendip.pipeline import from_dict, retrievers, scoring, to_dict, with_indices, with_scorers
from serendip.scorers.calibrated import ranked_by
from serendip.scorers.described import renamed
from serendip.types import ABSENT, Embedder, Scorer, SerendipError, Stage

USERS = "users.parquet"
ITEMS = "items.parquet"
HISTORIES = "histories.safetensors"
PIPELINE = "pipeline.json"
GOLDEN = "golden.json"
KINDS = "kinds.json"
"""The kinds of events, where the log names them: those that ``kind`` in the histories means."""
FEATURES = ("features.safetensors", "features.json")
SCORERS = "scorers"
INDEX = "index"
"""Folder of what makes search approximate: arrays and a description for each retriever that has such an index."""
LEARNED = "learned"
"""Folder of what training can go on from: a file for each scorer that has such. Nothing reads it to answer."""
MOST_JSON_BYTES = 1 << 22

_HINT = "Try: restore the bundle from a copy, or fit again."
_MALFORMED = (
    SerendipError,
    msgspec.MsgspecError,
    pl.exceptions.PolarsError,
    ValueError,
    TypeError,
    KeyError,
    OSError,
    RuntimeError,
)
"""What the readers of the formats raise for a file that is not well formed."""

_HISTORY_PARTS = {"indptr": np.int64, "items": np.int32, "weight": np.float32, "time": np.int64, "kind": np.int16}


@dataclass(frozen=True, eq=False)
class Content:
    """Everything in a bundle that its version stands for; ``attributes`` where a scorer reads features.

    What was ``learned``, by scorer, stays as it is in the file until a fit begins with it.
    """

    user_ids: Vocab
    items: pl.DataFrame
    histories: Histories
    pipeline: Stage
    golden: Golden
    attributes: Attributes | None = None
    learned: Mapping[str, File] = field(default_factory=dict)


class Sizes(Protocol):
    """How many rows the tables must have."""

    @property
    def users(self) -> int:
        """Of the users."""

    @property
    def items(self) -> int:
        """Of the items."""


def gather(data: Dataset, pipeline: Stage, learned: Mapping[str, File]) -> Content:
    """What a bundle of a pipeline and the data it was fitted on holds; the pipeline is asked for its golden replies."""
    names = renamed_titles(data)
    if names:
        pipeline = with_scorers(pipeline, {part.name: renamed(part.scorer, names) for part in scoring(pipeline)})
    table = titled(data)
    pipeline = shelved(pipeline, table, data.histories)
    return Content(
        data.user_ids,
        table,
        data.histories,
        pipeline,
        record(pipeline, data.n_items),
        Attributes.of(data, pipeline, names),
        learned,
    )


def encode(content: Content) -> dict[str, File]:
    """The files by relative path. The same content always gives the same bytes.

    Raises:
        SerendipError: a stage, a scorer or a column of the items that cannot be stored.
    """
    attributes = content.attributes
    users = pl.DataFrame({"user_id": content.user_ids.ids}) if attributes is None else attributes.users
    files: dict[str, File] = {
        USERS: [_storable("users", users)],
        ITEMS: [_storable("items", content.items)],
        HISTORIES: tensorfile.encode(
            {name: value for name in _HISTORY_PARTS if (value := getattr(content.histories, name)) is not None}
        ),
        PIPELINE: [msgspec.json.encode(to_dict(content.pipeline))],
        GOLDEN: [msgspec.json.encode(content.golden)],
    }
    if content.histories.kinds is not None:
        files[KINDS] = [msgspec.json.encode(content.histories.kinds)]
    if attributes is not None:
        tensors, header = attributes.features.pack()
        files |= dict(zip(FEATURES, (tensorfile.encode(tensors), [msgspec.json.encode(header)]), strict=True))
    for part in scoring(content.pipeline):
        tensors, header = kinds.dump(part.scorer)
        files[f"{SCORERS}/{part.name}.safetensors"] = tensorfile.encode(tensors)
        files[f"{SCORERS}/{part.name}.json"] = [msgspec.json.encode(header)]
    for part in retrievers(content.pipeline):
        if part.index is None or part.index.stats.backend == "exact":
            continue
        if len(part.index) != part.scorer.n_items or part.index.changed:
            raise SerendipError(
                f"A bundle's index must be as it was built. That of {part.name!r} has changed since. "
                "Try: save the bundle that the live items were opened over."
            )
        tensors, header = part.index.pack()
        files[f"{INDEX}/{part.name}.safetensors"] = tensorfile.encode(tensors)
        files[f"{INDEX}/{part.name}.json"] = [msgspec.json.encode(header)]
    files |= {f"{LEARNED}/{name}.safetensors": file for name, file in content.learned.items()}
    return files


def decode(files: Mapping[str, memoryview], sizes: Sizes) -> Content:
    """The inverse of `encode`.

    Raises:
        BundleError: naming the file that is missing, superfluous or not what it must be.
    """
    names = {name.rpartition(".")[0].removeprefix(f"{SCORERS}/") for name in files if name.startswith(f"{SCORERS}/")}
    expected = {USERS, ITEMS, HISTORIES, PIPELINE, GOLDEN, *(FEATURES if set(FEATURES) & set(files) else ())}
    expected |= {f"{SCORERS}/{name}.{suffix}" for name in names for suffix in ("safetensors", "json")}
    expected |= {KINDS} & set(files)
    searched = [name for name in sorted(names) if f"{INDEX}/{name}.json" in files]
    expected |= {f"{INDEX}/{name}.{suffix}" for name in searched for suffix in ("safetensors", "json")}
    learned: dict[str, File] = {
        name: [files[path]] for name in sorted(names) if (path := f"{LEARNED}/{name}.safetensors") in files
    }
    expected |= {f"{LEARNED}/{name}.safetensors" for name in learned}
    if expected != set(files):
        odd = ", ".join(sorted(expected ^ set(files)))
        raise BundleError(f"The files of the bundle do not fit together: {odd}. {_HINT}")
    with _naming(USERS):
        users = _table(files[USERS], sizes.users)
        user_ids = _vocab(users, "user_id")
    attributes = _attributes(files, users)
    with _naming(ITEMS):
        items = _table(files[ITEMS], sizes.items)
        _vocab(items, "item_id")
        _require(items.schema.get("title", pl.String) == pl.String, "must have titles that are text")
    with _naming(HISTORIES):
        histories = _histories(tensorfile.decode(HISTORIES, files[HISTORIES]), len(user_ids), len(items))
    histories = _named(files, histories)
    parts = {name: _scorer(files, name, len(items)) for name in sorted(names)}
    with _naming(PIPELINE):
        pipeline = from_dict(_json(files[PIPELINE], Any), parts)
        pipeline = with_indices(pipeline, {name: _index(files, name, parts[name]) for name in searched})
        _require({part.name for part in scoring(pipeline)} == names, "must use every scorer of the bundle")
        described = frozenset() if attributes is None else {one.name for one in attributes.features.inputs}
        pipeline = shelved(pipeline, items, histories)
        lacking = sorted(read_by(pipeline) - described)
        _require(not lacking, f"must read features of the bundle only. Got {', '.join(lacking)}")
    with _naming(GOLDEN):
        golden = _json(files[GOLDEN], Golden)
        codes = [code for reply in golden.replies for code in (*reply.history, *reply.items)]
        _require(max(codes, default=-1) < len(items), "must name items of the catalogue only")
        _require(
            all(len(reply.items) == len(reply.scores) == len(reply.sources) for reply in golden.replies),
            "must have one score and one source per item",
        )
    return Content(user_ids, items, histories, pipeline, golden, attributes, learned)


def tensors_of(name: str, file: File) -> dict[str, NDArray[Any]]:
    """What was learned for a scorer.

    Raises:
        BundleError: the file does not hold tensors.
    """
    with _naming(f"{LEARNED}/{name}"):
        return tensorfile.decode(f"{name}.safetensors", b"".join(file) if len(file) > 1 else file[0])


def titled(data: Dataset) -> pl.DataFrame:
    """The items table with its title named ``title``, in types that Parquet keeps."""
    table = plain(data.items.rename(renamed_titles(data), strict=False))
    if "title" not in table.columns:
        return table.select("item_id", pl.exclude("item_id"))
    return table.with_columns(pl.col("title").cast(pl.String)).select(
        "item_id", "title", pl.exclude("item_id", "title")
    )


def renamed_titles(data: Dataset) -> dict[str, str]:
    """The columns of the items that a bundle calls otherwise, by their names in the data."""
    title, columns = data.schema.title, data.items.columns
    if title is None or title == "title" or title not in columns:
        return {}
    return {"title": _free_name("title", columns), title: "title"}


def _free_name(name: str, taken: Sequence[str]) -> str:
    return next(f"{name}_{number}" for number in count(2) if f"{name}_{number}" not in taken)


def _scorer(files: Mapping[str, memoryview], name: str, n_items: int) -> Scorer:
    with _naming(f"{SCORERS}/{name}"):
        header = _json(files[f"{SCORERS}/{name}.json"], dict[str, Any])
        scorer = kinds.restore(tensorfile.decode(f"{name}.safetensors", files[f"{SCORERS}/{name}.safetensors"]), header)
        _require(scorer.n_items == n_items, f"must score the {n_items} items of the catalogue. Got {scorer.n_items}")
        return scorer


def _index(files: Mapping[str, memoryview], name: str, scorer: Scorer) -> VectorIndex:
    with _naming(f"{INDEX}/{name}"):
        embedder = ranked_by(scorer)
        if not isinstance(embedder, Embedder):
            raise BundleError("must be of a scorer that has vectors")
        arrays = tensorfile.decode(f"{name}.safetensors", files[f"{INDEX}/{name}.safetensors"])
        vectors = np.asarray(embedder.item_vectors(), np.float32)
        return unpack(vectors, arrays, _json(files[f"{INDEX}/{name}.json"], dict[str, Any]))


def _attributes(files: Mapping[str, memoryview], users: pl.DataFrame) -> Attributes | None:
    if FEATURES[0] not in files:
        with _naming(USERS):
            _require(users.width == 1, "must have the one column user_id")
        return None
    with _naming(FEATURES[0]):
        header = _json(files[FEATURES[1]], dict[str, Any])
        features = Features.unpack(tensorfile.decode(FEATURES[0], files[FEATURES[0]]), header)
    with _naming(USERS):
        strange = sorted(set(users.columns) - {"user_id", *features.columns("user")})
        _require(not strange, f"must have no columns but those that features read. Got {', '.join(strange)}")
        attributes = Attributes(features, users)
        features.users(users.clear())
    return attributes


def _histories(parts: Mapping[str, NDArray[Any]], n_users: int, n_items: int) -> Histories:
    _require(
        {"indptr", "items"} <= set(parts) <= set(_HISTORY_PARTS),
        "must hold indptr, items, and weight, time and kind if any",
    )
    for name, part in parts.items():
        dtype = np.dtype(_HISTORY_PARTS[name])
        _require(part.ndim == 1 and part.dtype == dtype, f"must hold {name} as a vector of {dtype}")
    indptr, items = parts["indptr"], parts["items"]
    _require(len(indptr) == n_users + 1, f"must have {n_users} users. Got {len(indptr) - 1}")
    rises = indptr[0] == 0 and indptr[-1] == len(items) and bool((np.diff(indptr) >= 0).all())
    _require(rises, f"must have offsets that rise from 0 to {len(items)}")
    within = len(items) == 0 or (int(items.min()) >= 0 and int(items.max()) < n_items)
    _require(within, f"must have item codes in 0 … {n_items - 1}")
    for name in set(parts) - {"indptr", "items"}:
        _require(len(parts[name]) == len(items), f"must have one {name} per event")
    weight = parts.get("weight")
    _require(weight is None or bool((np.isfinite(weight) & (weight >= 0)).all()), "must have weights of 0 or more")
    return Histories(indptr, items, weight, parts.get("time"), parts.get("kind"))


def _named(files: Mapping[str, memoryview], histories: Histories) -> Histories:
    """The histories with the names of the kinds of their events."""
    if KINDS not in files:
        with _naming(HISTORIES):
            _require(histories.kind is None, f"must have no kinds of events without {KINDS}")
        return histories
    with _naming(KINDS):
        found = _json(files[KINDS], Kinds)
        _require(histories.kind is not None, f"must come with the kinds of events in {HISTORIES}")
        _require(
            len(set(found.names)) == len(found.names) <= MOST_EVENT_TYPES, "must name each kind once, not too many"
        )
        _require(len(found.others) <= MOST_OTHERS, f"must name at most {MOST_OTHERS} kinds besides the target")
    with _naming(HISTORIES):
        kind = histories.kind
        within = kind is None or not len(kind) or (int(kind.min()) >= ABSENT and int(kind.max()) < len(found.names))
        _require(within, f"must have kinds of events in {ABSENT} … {len(found.names) - 1}")
    return replace(histories, kinds=found)


def _parquet(table: pl.DataFrame) -> bytes:
    out = io.BytesIO()
    table.rechunk().write_parquet(out, compression="zstd", statistics=False, row_group_size=1 << 20)
    return out.getvalue()


def _storable(what: str, table: pl.DataFrame) -> bytes:
    """The table as Parquet, once each column of it has been seen to come back as it was."""
    for name in table.columns:
        empty = table.select(name).clear()
        try:
            kept = _table(memoryview(_parquet(empty)), 0).schema == empty.schema
        except _MALFORMED:
            kept = False
        if not kept:
            kind = table.schema[name]
            raise SerendipError(
                f"The {what} must have columns that Parquet can hold. Got {name!r} of the type {kind} instead. "
                "Try: leave the column out, or give it as text or numbers."
            )
    return _parquet(table)


def _table(file: memoryview, rows: int) -> pl.DataFrame:
    """Read by Arrow, which refuses a malformed file where Polars may run out of memory."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    limits = {"thrift_string_size_limit": MOST_JSON_BYTES, "thrift_container_size_limit": MOST_JSON_BYTES}
    source = pq.ParquetFile(pa.BufferReader(pa.py_buffer(file)), **limits)
    _require(source.metadata.num_rows == rows, f"must have {rows} rows. Got {source.metadata.num_rows}")
    table = source.read()
    table.validate(full=True)
    frame = pl.from_arrow(table)
    _require(isinstance(frame, pl.DataFrame), "must be a table")
    return cast(pl.DataFrame, frame)


def _vocab(table: pl.DataFrame, column: str) -> Vocab:
    _require(table.columns[:1] == [column], f"must have {column} as its first column")
    ids = table[column]
    _require(ids.dtype in (pl.Int64, pl.String), f"must have a {column} of whole numbers or text. Got {ids.dtype}")
    _require(ids.null_count() == 0 and ids.n_unique() == len(ids), f"must have every {column} once and none empty")
    return Vocab(ids)


def _json(file: memoryview, kind: Any) -> Any:
    _require(len(file) <= MOST_JSON_BYTES, f"must be at most {MOST_JSON_BYTES} bytes. Got {len(file)}")
    return msgspec.json.decode(file, type=kind)


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise BundleError(what)


@contextmanager
def _naming(file: str) -> Iterator[None]:
    """Whatever is wrong with a file is a `BundleError` that names it."""
    try:
        yield
    except BundleError as error:
        raise BundleError(f"{file} {error}. {_HINT}") from error
    except (RecursionError, MemoryError, OverflowError, pl.exceptions.PanicException) as error:
        raise BundleError(f"{file} cannot be read: {type(error).__name__}. {_HINT}") from error
    except _MALFORMED as error:
        what = str(error).strip().rstrip(".")
        raise BundleError(f"{file} is not what it must be: {what}. {_HINT}") from error
