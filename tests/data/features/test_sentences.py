"""Texts by a sentence encoder: real files, no network, known vectors; kept in a bundle or found by name."""

from __future__ import annotations

import hashlib
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from serendip.data.dataset import Dataset
from serendip.data.features import Features, encoder
from serendip.data.features.declared import Sentence, Text
from serendip.data.features.folder import PLACES, digest_of
from serendip.network.network import Network
from serendip.types import SerendipError

from . import encoders
from .encoders import TABLE, of_texts, of_tokens, states

CLS, SEP, UNK, RED, BLUE, SHOES = 1, 2, 0, 3, 4, 5
RED_SHOES = [CLS, RED, SHOES, SEP]


@pytest.fixture
def lm(tmp_path: Path) -> Path:
    return encoders.folder(tmp_path / "small-lm", of_tokens())


@pytest.fixture(autouse=True)
def closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """No encoder is open yet, and nothing may open a connection."""
    encoder._OPEN.clear()

    def refused(*_: Any) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refused)


def fitted(data: Dataset, folder: Path, column: str = "name", **options: Any) -> Features:
    return Features.fit(data, {"says": Sentence(side="item", column=column, encoder=str(folder), **options)})


def of(features: Features, *texts: Any) -> Any:
    return features.items(pl.DataFrame({"name": list(texts)}, strict=False))["says"]


def of_length_one(row: Any) -> Any:
    return row / np.linalg.norm(row)


def test_a_text_is_the_mean_of_its_states_by_length_one(data: Dataset, lm: Path) -> None:
    features = fitted(data, lm)
    assert features.inputs[0].width == 4
    made = features.items(data.items)["says"]
    assert made.dtype == np.float32
    np.testing.assert_allclose(made[0], of_length_one(states(RED_SHOES).mean(axis=0)), rtol=1e-5)
    assert np.isnan(made[3]).all()  # it has no name
    np.testing.assert_allclose(np.linalg.norm(made[[0, 1, 2, 4]], axis=1), 1, rtol=1e-5)


def test_options_say_how_states_become_one(data: Dataset, lm: Path) -> None:
    plain = of(fitted(data, lm, unit=False), "red shoes")[0]
    np.testing.assert_allclose(plain, states(RED_SHOES).mean(axis=0), rtol=1e-5)
    first = of(fitted(data, lm, unit=False, pooling="first"), "red shoes")[0]
    np.testing.assert_allclose(first, states(RED_SHOES)[0], rtol=1e-5)


def test_what_the_encoder_calls_the_sentence_is_taken(data: Dataset, tmp_path: Path) -> None:
    features = fitted(data, encoders.folder(tmp_path / "whole", of_texts()), unit=False)
    np.testing.assert_allclose(of(features, "red shoes")[0], TABLE[RED_SHOES].sum(axis=0), rtol=1e-5)


def test_texts_are_cut_at_the_tokens_that_are_asked_for(data: Dataset, lm: Path) -> None:
    long = "red blue red blue red blue red"
    as_said = of(fitted(data, lm, unit=False), long)[0]
    np.testing.assert_allclose(as_said, states([CLS, RED, BLUE, RED, BLUE, SEP]).mean(axis=0), rtol=1e-5)
    short = of(fitted(data, lm, unit=False, max_length=3), long)[0]
    np.testing.assert_allclose(short, states([CLS, RED, SEP]).mean(axis=0), rtol=1e-5)


def test_neighbours_in_a_batch_do_not_matter(data: Dataset, lm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    texts = [" ".join(rng.choice(["red", "blue", "shoes", "hat"], rng.integers(1, 5))) for _ in range(60)]
    alone = [of(fitted(data, lm), text)[0] for text in texts if not encoder._OPEN.clear()]
    encoder._OPEN.clear()
    monkeypatch.setattr(encoder, "TOKENS", 8)
    monkeypatch.setattr(encoder, "AT_ONCE", 2)
    np.testing.assert_allclose(of(fitted(data, lm), *texts), np.stack(alone), rtol=1e-5, atol=1e-6)


def test_whatever_comes_has_an_answer(data: Dataset, lm: Path) -> None:
    features = fitted(data, lm)
    made = of(features, "千 尋", "кошка", "", None, "  ", "RED  shoes")
    assert np.isfinite(made[[0, 1, 5]]).all()
    assert np.isnan(made[[2, 3, 4]]).all()
    np.testing.assert_array_equal(made[5], of(features, "red shoes")[0])
    np.testing.assert_allclose(made[1], of_length_one(states([CLS, UNK, SEP]).mean(axis=0)), rtol=1e-5)
    assert np.isnan(features.items(pl.DataFrame({"brand": ["x"]}))["says"]).all()  # the column is not there
    listed = features.items(pl.DataFrame({"name": [["red", "shoes"], []]}))["says"]
    np.testing.assert_array_equal(listed[0], made[5])
    assert np.isnan(listed[1]).all()
    with pytest.raises(SerendipError, match="must hold texts or numbers"):
        features.items(pl.DataFrame({"name": [{"a": 1}]}))


def test_a_text_without_a_token_is_missing(data: Dataset, tmp_path: Path) -> None:
    features = fitted(data, encoders.folder(tmp_path / "bare", of_tokens(), special=False))
    made = of(features, "red", "\u200b")  # which is no blank, and no letter
    np.testing.assert_allclose(made[0], of_length_one(states([RED]).mean(axis=0)), rtol=1e-5)
    assert np.isnan(made[1]).all()


def test_a_text_is_worked_out_once(data: Dataset, lm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[int] = []
    run = Network.run
    monkeypatch.setattr(Network, "run", lambda self, inputs, n, **how: (rows.append(n), run(self, inputs, n, **how))[1])
    features = fitted(data, lm)
    of(features, "red", "red", "blue", "red shoes")
    assert sum(rows) == 3
    of(fitted(data, lm), "red", "hat")  # another fit, the same files
    assert sum(rows) == 4
    monkeypatch.setattr(encoder, "MOST_KNOWN_BYTES", 2 * 4 * 4)  # room for two
    of(features, "the")
    of(features, "the", "hat")
    assert sum(rows) == 5
    of(features, "red")
    assert sum(rows) == 6


def test_nothing_but_the_folder_is_needed(lm: Path) -> None:
    """The library that `tokenizers` brings for fetching is never imported."""
    code = f"""
import sys
import polars as pl
from serendip.data.dataset import Dataset
from serendip.data.features.declared import Sentence
items = pl.DataFrame({{"item_id": ["a", "b"], "name": ["red shoes", "hat"]}})
events = pl.DataFrame({{"user_id": [1, 2], "item_id": ["a", "b"]}})
data = Dataset.from_frames(events, items=items, features={{"name": Sentence(side="item", encoder={str(lm)!r})}})
assert "tokenizers" not in sys.modules
print(data.features.items(data.items)["name"].shape)
assert "tokenizers" in sys.modules and "huggingface_hub" not in sys.modules
assert "torch" not in sys.modules
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert out.returncode == 0, out.stderr
    assert out.stdout.strip() == "(2, 4)"


def test_the_bundle_holds_the_encoder(data: Dataset, lm: Path) -> None:
    declared = {
        "says": Sentence(side="item", column="name", encoder=str(lm)),
        "maker": Sentence(side="item", column="brand", encoder=str(lm), max_length=3),
    }
    features = Features.fit(data, declared)
    tensors, header = features.pack()
    assert str(lm.parent) not in json.dumps(header)
    model, tokenizer = ((lm / name).read_bytes() for name in ("model.onnx", "tokenizer.json"))
    digest = digest_of(np.frombuffer(model, np.uint8), np.frombuffer(tokenizer, np.uint8))
    assert digest == hashlib.sha256(len(model).to_bytes(8, "little") + model + tokenizer).hexdigest()
    assert set(tensors) == {f"encoder.{digest}.model", f"encoder.{digest}.tokenizer"}  # once for both
    before = of(features, "a red hat")
    for path in lm.iterdir():
        path.unlink()
    encoder._OPEN.clear()
    again = Features.unpack(tensors, json.loads(json.dumps(header)))
    assert again.declared == features.declared
    assert again.inputs == features.inputs
    np.testing.assert_array_equal(of(again, "a red hat"), before)


def test_an_encoder_that_is_not_kept_is_found_by_its_name(
    data: Dataset, lm: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    features = fitted(data, lm, keep=False)
    tensors, header = features.pack()
    assert not tensors
    assert str(lm.parent) not in json.dumps(header)
    before = of(features, "red hat")
    encoder._OPEN.clear()
    np.testing.assert_array_equal(of(features, "red hat"), before)  # from where it was found
    encoder._OPEN.clear()
    again = Features.unpack(tensors, json.loads(json.dumps(header)))
    assert again.items(pl.DataFrame({"name": pl.Series([None], dtype=pl.String)}))["says"].shape == (1, 4)
    with pytest.raises(SerendipError) as caught:
        of(again, "red hat")
    text = str(caught.value)
    assert text.startswith("The sentence encoder 'small-lm' is not in the bundle (keep = false), and no folder")
    assert "SERENDIP_ENCODERS names (none). Try putting it there, or fit with keep = true." in text
    monkeypatch.setenv(PLACES, os.pathsep.join([str(tmp_path / "nowhere"), str(tmp_path)]))
    np.testing.assert_array_equal(of(again, "red hat"), before)
    encoder._OPEN.clear()
    (lm / "model.onnx").write_bytes(of_texts())  # another one under the same name
    with pytest.raises(SerendipError, match="is not in the bundle"):
        of(again, "red hat")


def test_a_recipe_may_name_an_encoder_alone(data: Dataset, lm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PLACES, str(lm.parent))
    there = fitted(data, Path("/elsewhere/small-lm"))
    np.testing.assert_array_equal(of(there, "red"), of(fitted(data, lm), "red"))


def test_a_model_may_lie_in_a_folder_of_its_own_and_keep_its_width_to_itself(data: Dataset, tmp_path: Path) -> None:
    folder = encoders.folder(tmp_path / "lm", of_tokens("size"))
    (folder / "onnx").mkdir()
    (folder / "model.onnx").rename(folder / "onnx" / "model.onnx")
    features = fitted(data, folder, unit=False)
    assert features.inputs[0].width == 4
    np.testing.assert_allclose(of(features, "red shoes")[0], states(RED_SHOES).mean(axis=0), rtol=1e-5)


def changed(model: bytes, change: Callable[[Any], Any]) -> bytes:
    import onnx

    made = onnx.ModelProto.FromString(model)
    change(made)
    return bytes(made.SerializeToString())


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda model: setattr(model.graph.input[0], "name", "pixels"), "must read input_ids, attention_mask, token"),
        (lambda model: setattr(model.graph.output[0].type.tensor_type, "elem_type", 7), "must give float32 of the sha"),
        (lambda model: setattr(model.graph.node[0], "domain", "com.microsoft"), "must use ONNX's own operators only"),
    ],
)
def test_models_that_are_no_encoders_are_refused(
    data: Dataset, tmp_path: Path, change: Callable[[Any], Any], text: str
) -> None:
    folder = encoders.folder(tmp_path / "odd", changed(of_tokens(), change))
    with pytest.raises(SerendipError) as caught:
        fitted(data, folder)
    assert str(caught.value).startswith("The sentence encoder 'odd' ")
    assert text in str(caught.value)


def test_a_folder_without_an_encoder_is_refused(data: Dataset, lm: Path, tmp_path: Path) -> None:
    with pytest.raises(SerendipError, match=r"features.says: encoder must be a folder .* without model.onnx instead"):
        fitted(data, tmp_path / "none")
    (lm / "tokenizer.json").unlink()
    with pytest.raises(SerendipError, match=r"without tokenizer.json instead. Try the export of a sentence encoder"):
        fitted(data, lm)
    (lm / "tokenizer.json").write_text("{}")
    features = fitted(data, lm)
    with pytest.raises(SerendipError, match=r"The sentence encoder 'small-lm': tokenizer\.json cannot be read"):
        of(features, "red")


def test_files_that_do_not_go_together_are_refused(data: Dataset, lm: Path) -> None:
    text = (lm / "tokenizer.json").read_text()
    (lm / "tokenizer.json").write_text(text.replace('"red": 3', '"red": 300').replace('"red":3', '"red":300'))
    with pytest.raises(SerendipError, match="The sentence encoder 'small-lm' cannot be run"):
        of(fitted(data, lm), "red")


def test_a_text_that_the_tokenizer_cannot_read_is_an_error(data: Dataset, lm: Path) -> None:
    text = (lm / "tokenizer.json").read_text()
    (lm / "tokenizer.json").write_text(re.sub(r'("unk_token": ?)"\[UNK\]"', r'\1"?"', text))
    features = fitted(data, lm)
    assert np.isfinite(of(features, "red")).all()
    with pytest.raises(SerendipError, match=r"'small-lm': tokenizer\.json cannot read a text: .*Missing"):
        of(features, "green")


@pytest.mark.parametrize("library", ["tokenizers", "onnxruntime"])
def test_a_library_that_is_missing_is_named(
    data: Dataset, lm: Path, monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    features = fitted(data, lm)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(SerendipError, match=r"'small-lm' needs .* Try pip install 'serendip\[text\]'"):
        of(features, "red")


def _stored(data: Dataset, lm: Path) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    tensors, header = fitted(data, lm).pack()
    header = json.loads(json.dumps(header))
    return dict(tensors), header, header["parts"][0]


def test_what_is_read_and_not_sound_is_refused(data: Dataset, lm: Path) -> None:
    tensors, header, part = _stored(data, lm)
    encoder._OPEN.clear()
    name = next(one for one in tensors if one.endswith("model"))
    other = {**tensors, name: np.frombuffer(of_texts(), np.uint8)}
    with pytest.raises(SerendipError, match="must have the checksum that its header names"):
        Features.unpack(other, header)
    with pytest.raises(SerendipError, match="is missing"):
        Features.unpack({}, header)
    part["state"]["width"] = 5
    with pytest.raises(SerendipError, match="the encoder must give vectors of the width"):
        Features.unpack(tensors, header)
    part["state"] = {"width": 4, "digest": "f" * 64}
    with pytest.raises(SerendipError, match=r"encoder.f+.model is missing"):
        Features.unpack(tensors, header)
    part["declared"]["keep"] = False
    with pytest.raises(SerendipError, match="tensors that belong to no feature"):
        Features.unpack(tensors, header)
    part["declared"]["encoder"] = "../small-lm"  # a name is no path
    away = Features.unpack({}, header)
    with pytest.raises(SerendipError, match="is not in the bundle"):
        of(away, "red")


def test_text_and_sentences_read_the_same_column(data: Dataset, lm: Path) -> None:
    declared = {"name": Text(side="item"), "says": Sentence(side="item", column="name", encoder=str(lm))}
    assert list(Features.fit(data, declared).items(data.items)) == ["name", "says"]
