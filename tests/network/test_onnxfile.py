from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from serendip.network import onnxfile
from serendip.network.onnxfile import Port, signature
from serendip.types import SerendipError
from tests.scorers.networks import mean_of_codes, mean_of_vectors

FLOAT, INT, BOOL = (np.dtype(kind) for kind in (np.float32, np.int64, np.bool_))
SOUND = onnx.ModelProto.FromString(mean_of_codes(np.ones((4, 2)), 3).tobytes())


def changed(change: Callable[[Any], Any]) -> bytes:
    model = onnx.ModelProto()
    model.CopyFrom(SOUND)
    change(model)
    return bytes(model.SerializeToString())


def test_inputs_and_outputs_are_read() -> None:
    found = signature(mean_of_vectors(2, 3).tobytes())
    assert found.inputs == {"history": Port(FLOAT, (None, 3, 2)), "history.present": Port(BOOL, (None, 3))}
    assert found.outputs == {"vector": Port(FLOAT, (None, 2))}
    assert signature(mean_of_codes(np.ones((4, 2)), 3).tobytes()).inputs == {"history": Port(INT, (None, 3))}


def elsewhere(model: Any) -> None:
    tensor = next(one for one in model.graph.initializer if one.name == "table")
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor), "table"))
    onnx.external_data_helper.set_external_data(tensor, location="../../secret")
    tensor.ClearField("raw_data")


def branch(model: Any) -> None:
    model.graph.node[0].attribute.append(helper.make_attribute("then_branch", SOUND.graph))


def constant(model: Any) -> None:
    """A tensor of an attribute may point elsewhere, too."""
    tensor = onnx.TensorProto(name="x", data_type=1, data_location=onnx.TensorProto.EXTERNAL)
    model.graph.node.append(helper.make_node("Constant", [], ["more"], value=tensor))


def graphs(model: Any) -> None:
    model.graph.node[0].attribute.append(helper.make_attribute("many", [SOUND.graph]))


CASES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "data elsewhere": (elsewhere, "stands on its own. It holds data in other files"),
    "data elsewhere in a constant": (constant, "stands on its own. It holds data in other files"),
    "a branch": (branch, "stands on its own. It holds loops or branches"),
    "branches": (graphs, "stands on its own. It holds loops or branches"),
    "functions": (
        lambda model: model.functions.add(name="f", domain="d"),
        "stands on its own. It holds functions",
    ),
    "an operator from elsewhere": (
        lambda model: setattr(model.graph.node[0], "domain", "com.microsoft"),
        "ONNX's own operators only. Got some of 'com.microsoft'",
    ),
    "operators imported from elsewhere": (
        lambda model: model.opset_import.append(helper.make_opsetid("com.microsoft", 1)),
        "ONNX's own operators only. Got some of 'com.microsoft'",
    ),
    "training": (lambda model: model.training_info.add(), "It holds field 20 of a model"),
    "sparse tensors": (lambda model: model.graph.sparse_initializer.add(), "It holds field 15 of a graph"),
    "no graph": (lambda model: model.ClearField("graph"), "It has no output"),
    "text": (
        lambda model: setattr(model.graph.input[0].type.tensor_type, "elem_type", 8),
        "inputs and outputs of float32, int64, bool. 'history' is not",
    ),
    "an input without a type": (
        lambda model: model.graph.input[0].ClearField("type"),
        "whose inputs and outputs are tensors with a name",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_does_not_stand_on_its_own_is_refused(case: str) -> None:
    change, text = CASES[case]
    with pytest.raises(SerendipError) as caught:
        signature(changed(change))
    assert text in str(caught.value)


def test_data_elsewhere_is_refused_as_onnx_writes_it(tmp_path: Path) -> None:
    """The oracle for the fields that are looked for: the library's own writer."""
    model = onnx.ModelProto()
    model.CopyFrom(SOUND)
    for tensor in model.graph.initializer:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor), tensor.name))
    path = tmp_path / "model.onnx"
    onnx.save_model(model, path, save_as_external_data=True, size_threshold=0, convert_attribute=True)
    with pytest.raises(SerendipError, match="data in other files"):
        signature(path.read_bytes())


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "It has no output"),
        (b"\x3a\x7f", "It is cut short"),  # a graph of 127 bytes
        (b"\x08", "It is cut short"),
        (b"\x3b", "Its bytes are not well formed"),  # a group
        (b"\xba\x00\x00", "Its bytes are not well formed"),  # a tag that is longer than it need be
        (b"\x38\x01", "Field 7 of a model is not what it must be"),
        (b"\x08" + b"\xff" * 10, "Its bytes are not well formed"),
        (b"\x08" + b"\xff" * 9 + b"\x02", "Its bytes are not well formed"),
    ],
)
def test_bytes_that_are_no_model_are_refused(content: bytes, text: str) -> None:
    with pytest.raises(SerendipError) as caught:
        signature(content)
    assert text in str(caught.value)


def test_size_and_number_of_parts_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    content = SOUND.SerializeToString()
    monkeypatch.setattr(onnxfile, "MOST_PARTS", 10)
    with pytest.raises(SerendipError, match="at most 10 parts"):
        signature(content)
    monkeypatch.setattr(onnxfile, "MOST_BYTES", 10)
    with pytest.raises(SerendipError, match=f"at most 10 bytes. Got {len(content)}"):
        signature(content)


@given(st.data())
def test_damaged_bytes_never_raise_anything_else(data: st.DataObject) -> None:
    content = bytearray(SOUND.SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        signature(bytes(content[: data.draw(st.integers(0, len(content)))]))
    except SerendipError as error:
        assert str(error).startswith("must ")


def test_what_exporters_note_about_a_model_is_passed_over() -> None:
    def noted(model: Any) -> None:
        for part in (model, model.graph, model.graph.node[0], model.graph.initializer[0]):
            part.metadata_props.add(key="made by", value="an exporter")

    assert signature(changed(noted)) == signature(SOUND.SerializeToString())
