"""A ranker whose products are of bytes: a quarter as large, and quicker on processors that multiply bytes.

``y ≈ s_x s_w · ( q_x − z ) q_w``: each column of a matrix has a scale ``s_w`` of its own, what it is multiplied with is
rounded by the range that it has when the network is asked. Scores are a little less exact, and depend a little on what
is asked together. Needs ``onnx`` beside ONNX Runtime.

Source: B. Jacob et al., "Quantization and training of neural networks for efficient integer-arithmetic-only inference",
CVPR 2018; ONNX Runtime's dynamic quantisation does it.
"""

from __future__ import annotations

import logging
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from serendip.scorers.ranked import RankScorer
from serendip.types import SerendipError

Kind = TypeVar("Kind", bound=RankScorer)

LARGEST = 1 << 40
"""Bytes of a matrix that may be cut into parts."""


def quantised(scorer: Kind) -> Kind:
    """The scorer with its ranking network's products of bytes; what reads queries and new items stays as it is.

    Raises:
        SerendipError: what quantises is not installed.
    """
    return replace(scorer, ranker=np.frombuffer(_of_bytes(scorer.ranker.tobytes()), np.uint8))


def _of_bytes(content: bytes) -> bytes:
    try:
        import onnx
        from onnxruntime.quantization import QuantType, quantize_dynamic
        from onnxscript.optimizer import fold_constants, remove_unused_nodes
    except ModuleNotFoundError as error:
        raise SerendipError(
            f"A ranker is quantised by {error.name}, which is not installed. Try pip install 'serendip[train]'."
        ) from error
    log = logging.getLogger()
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder) / "before.onnx", Path(folder) / "after.onnx"
        model = onnx.load_model_from_string(content)
        # Parts of matrices become matrices: only those are made of bytes.
        fold_constants(model, onnx_shape_inference=False, input_size_limit=LARGEST, output_size_limit=LARGEST)
        remove_unused_nodes(model)
        del model.graph.value_info[:]
        onnx.save_model(model, before)
        log.addFilter(_quiet)
        try:
            quantize_dynamic(before, after, per_channel=True, weight_type=QuantType.QInt8)
        finally:
            log.removeFilter(_quiet)
        return _alone(onnx, onnx.load_model(after))


def _alone(onnx: Any, model: Any) -> bytes:
    """The bytes of a model that names nothing but ONNX's own operators, and nothing of how it was made."""
    own = [one for one in model.opset_import if not one.domain]
    del model.opset_import[:]
    model.opset_import.extend(own)
    model.producer_name = model.producer_version = ""
    for tensor in model.graph.initializer:  # of a large model they were in a file beside it for a while
        tensor.ClearField("data_location")
    for part in (model, model.graph, *model.graph.node):
        part.doc_string = ""
        del part.metadata_props[:]
    del model.graph.value_info[:]
    found: bytes = model.SerializeToString(deterministic=True)
    return found


def _quiet(record: logging.LogRecord) -> bool:
    """Without the advice to work out shapes first, which products do without."""
    return "pre-processing before quantization" not in record.getMessage()


__all__ = ["quantised"]
