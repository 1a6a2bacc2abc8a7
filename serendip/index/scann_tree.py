"""ScaNN: a tree of partitions, anisotropic product codes, a second home for each vector, and reordering. Linux only.

Sources: R. Guo et al., "Accelerating large-scale inference with anisotropic vector quantization", ICML 2020; P. Sun et
al., "SOAR: improved indexing for approximate nearest neighbor search", NeurIPS 2023.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from serendip.index.chosen import Bits, best_of, bit_of, listed
from serendip.index.engine import Effort, expect, library, require, threads_for, within
from serendip.index.options import Chosen
from serendip.kernels import pool
from serendip.types import Floats, Recs

WIDTH = 2  # dimensions that share a code
CENTRES = 16  # of a code
THRESHOLD = 0.2  # T of the anisotropic loss
SPILL = 1.5  # λ of SOAR
SAMPLE = 100_000
TREE_FROM = 100_000
"""Vectors below which there is no tree, and all codes are scanned."""
SPARE = 1.3
"""How many times what a share of allowed items lets expect is asked for, so that enough are left."""
_CODES = {"codebook": (np.float32, 3), "codes": (np.uint8, 2)}
_TREE = {"centres": (np.float32, 2), "tokens": (np.int32, 1), "second_codes": (np.uint8, 2)}


@dataclass(frozen=True, eq=False)
class ScannTree:
    """An index of ScaNN over a table of vectors, of which it holds a copy.

    Attributes:
        table: ``[n, d]`` the vectors.
        searcher: of ScaNN.
        leaves: how many partitions; 0: no tree.
        threads: of batches.
    """

    table: Floats
    searcher: Any
    leaves: int
    threads: int | None = None
    backend: ClassVar[Chosen] = "scann"

    @classmethod
    def build(cls, table: Floats, *, seed: int = 0, threads: int | None = None) -> Self:
        """Learn about √n partitions and the codes; the table has no NaN. ScaNN takes no seed."""
        leaves = round(len(table) ** 0.5) if len(table) >= TREE_FROM else 0
        made = _builder(np.ascontiguousarray(table), leaves).set_n_training_threads(pool.count(threads)).build()
        return cls(table, made, leaves, threads)

    @classmethod
    def unpack(cls, table: Floats, arrays: Mapping[str, NDArray[Any]], threads: int | None = None) -> Self:
        """The inverse of `pack`; the arrays need not be trusted: ScaNN's own files are written anew from them.

        Raises:
            SerendipError: arrays that do not fit together or not with the table; ScaNN is not installed.
        """
        n, d = table.shape
        tree = "centres" in arrays
        expect(arrays, {**_CODES, **(_TREE if tree else {})})
        codebook, codes = arrays["codebook"], arrays["codes"]
        blocks = -(-d // WIDTH)
        require(codebook.shape == (blocks, CENTRES, WIDTH), "must have a codebook for the vectors")
        require(codes.shape == (n, blocks) and int(codes.max()) < CENTRES, "must have a code for each vector")
        require(bool(np.isfinite(codebook).all()), "must be finite")
        if tree:
            centres, tokens, second = arrays["centres"], arrays["tokens"], arrays["second_codes"]
            require(centres.shape[1] == d and len(centres) >= 1, "must have centres as wide as the vectors")
            require(bool(np.isfinite(centres).all()), "must be finite")
            require(len(tokens) == 2 * n and within(tokens, -1, len(centres)), "must have two homes for each vector")
            require(int(tokens[:n].min()) >= 0, "must have a first home for each vector")
            require(second.shape == codes.shape and int(second.max()) < CENTRES, "must have second codes")
        leaves = len(arrays["centres"]) if tree else 0
        with tempfile.TemporaryDirectory(prefix="serendip-") as folder:
            _write(Path(folder), np.ascontiguousarray(table), arrays, leaves)
            searcher = _module().load_searcher(folder, assets_backcompat_shim=False)
        return cls(table, searcher, leaves, threads)

    def find(self, vectors: Floats, k: int, effort: Effort, bits: Bits | None, share: float) -> Recs:
        """See `Engine.find`; more is asked for where not all are allowed, and the others left out."""
        n, q = len(self.table), len(vectors)
        wanted = min(n, k if bits is None else ceil(SPARE * k / share) + 10)
        before = min(n, max(wanted, ceil(effort["looked_up"] * wanted / k)))
        leaves = effort.get("leaves", -1)
        if q == 1:
            items, scores = self.searcher.search(np.ascontiguousarray(vectors[0]), wanted, before, leaves)
            items, scores = items[None], scores[None]
        elif (threads := threads_for(q, self.threads)) > 1:
            self.searcher.set_num_threads(threads)
            items, scores = self.searcher.search_batched_parallel(vectors, wanted, before, leaves)
        else:
            items, scores = self.searcher.search_batched(vectors, wanted, before, leaves)
        items = items.astype(np.int64)
        may = (items >= 0) & (items < n) & np.isfinite(scores)
        if bits is not None:
            row, at = np.nonzero(may)
            may[row, at] = bit_of(bits[None], row, items[row, at])
        row, at = np.nonzero(may)
        return listed(q, k, *best_of(row, items[row, at].astype(np.int32), scores[row, at].astype(np.float32), k))

    def ladder(self, k: int) -> tuple[str, list[int], str | None, list[int]]:
        """See `Engine.ladder`."""
        finds = [round(k * times) for times in (1.5, 2, 3, 4, 6, 10, 20)]
        if not self.leaves:
            return "looked_up", finds, None, []
        leaves = sorted({min(self.leaves, round(2**half)) for half in np.arange(0, np.log2(self.leaves) + 0.5, 0.5)})
        return "leaves", leaves, "looked_up", finds

    def pack(self) -> dict[str, NDArray[Any]]:
        """See `Engine.pack`."""
        with tempfile.TemporaryDirectory(prefix="serendip-") as folder:
            self.searcher.serialize(folder, relative_path=True)
            return _read(Path(folder), bool(self.leaves))


def _module() -> Any:
    library("scann")
    return library("scann.scann_ops.py.scann_ops_pybind")


def _builder(table: Floats, leaves: int) -> Any:
    made = _module().builder(table, 100, "dot_product")
    if leaves:
        made = made.tree(
            num_leaves=leaves,
            num_leaves_to_search=max(1, leaves // 10),
            training_sample_size=SAMPLE,
            soar_lambda=SPILL,
            overretrieve_factor=2.0,
        )
    return made.score_ah(WIDTH, anisotropic_quantization_threshold=THRESHOLD, training_sample_size=SAMPLE).reorder(400)


def _read(folder: Path, tree: bool) -> dict[str, NDArray[Any]]:
    """ScaNN's files as arrays."""
    hashes = library("scann.proto.centers_pb2").CentersForAllSubspaces()
    hashes.ParseFromString((folder / "ah_codebook.pb").read_bytes())
    book = [[list(centre.feature_value_float) for centre in one.center] for one in hashes.subspace_centers]
    padded = [[[*centre, *[0.0] * (WIDTH - len(centre))] for centre in one] for one in book]
    arrays = {
        "codebook": np.array(padded, np.float32),
        "codes": np.load(folder / "hashed_dataset.npy", allow_pickle=False),
    }
    if tree:
        partition = library("scann.partitioning.partitioner_pb2").SerializedPartitioner()
        partition.ParseFromString((folder / "serialized_partitioner.pb").read_bytes())
        centres = [list(centre.dimension) for centre in partition.kmeans.kmeans_tree.root.centers]
        arrays["centres"] = np.array(centres, np.float32)
        arrays["tokens"] = np.load(folder / "datapoint_to_token.npy", allow_pickle=False)
        arrays["second_codes"] = np.load(folder / "hashed_dataset_soar.npy", allow_pickle=False)
    return arrays


def _write(folder: Path, table: Floats, arrays: Mapping[str, NDArray[Any]], leaves: int) -> None:
    """Arrays as ScaNN's files."""
    d = table.shape[1]
    files = {"AH_CENTERS": "ah_codebook.pb", "AH_DATASET_NPY": "hashed_dataset.npy", "DATASET_NPY": "dataset.npy"}
    hashes = library("scann.proto.centers_pb2").CentersForAllSubspaces()
    for number, centres in enumerate(arrays["codebook"].tolist()):
        one = hashes.subspace_centers.add()
        for centre in centres:
            made = one.center.add()
            made.feature_type = made.FLOAT
            made.feature_value_float.extend(centre[: d - number * WIDTH])
    (folder / files["AH_CENTERS"]).write_bytes(hashes.SerializeToString())
    np.save(folder / files["AH_DATASET_NPY"], np.ascontiguousarray(arrays["codes"]))
    np.save(folder / files["DATASET_NPY"], table)
    if leaves:
        files |= {
            "PARTITIONER": "serialized_partitioner.pb",
            "TOKENIZATION_NPY": "datapoint_to_token.npy",
            "AH_DATASET_SOAR_NPY": "hashed_dataset_soar.npy",
        }
        partition = library("scann.partitioning.partitioner_pb2").SerializedPartitioner(n_tokens=leaves)
        tree = partition.kmeans.kmeans_tree
        tree.learned_spilling_type = 4
        tree.root.learned_spilling_threshold, tree.root.leaf_id = float("nan"), -1
        for number, centre in enumerate(arrays["centres"].tolist()):
            tree.root.centers.add().dimension.extend(centre)
            leaf = tree.root.children.add()
            leaf.learned_spilling_threshold, leaf.leaf_id = float("nan"), number
        (folder / files["PARTITIONER"]).write_bytes(partition.SerializeToString())
        np.save(folder / files["TOKENIZATION_NPY"], np.ascontiguousarray(arrays["tokens"]))
        np.save(folder / files["AH_DATASET_SOAR_NPY"], np.ascontiguousarray(arrays["second_codes"]))
    text = library("google.protobuf.text_format")
    config = text.Parse(_builder(table, leaves).create_config(), library("scann.proto.scann_pb2").ScannConfig())
    (folder / "scann_config.pb").write_bytes(config.SerializeToString())
    assets = "".join(f'assets {{ asset_type: {kind} asset_path: "{folder / name}" }}\n' for kind, name in files.items())
    (folder / "scann_assets.pbtxt").write_text(assets)
