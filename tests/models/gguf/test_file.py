"""GGUF files that are whole are read, and those that are not are refused in one sentence."""

import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("gguf")
from gguf_files import TOKENS, tensors, write

from millis.errors import MillisError
from millis.models.gguf.file import open_file


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A file of 2 layers, its matrices in Q8_0."""
    return write(tmp_path_factory.mktemp("gguf") / "whole.gguf", tensors(), "Q8_0")


def refused(path):
    with pytest.raises(MillisError) as error:
        open_file(path)
    return str(error.value).replace(str(path), "FILE")


def test_metadata_and_tensors(whole):
    file = open_file(whole)
    assert file.values["general.architecture"] == "llama"
    assert file.values["llama.attention.head_count"] == 4
    assert file.values["tokenizer.ggml.tokens"] == TOKENS
    assert file.token("eos", len(TOKENS)) == 2 and file.token("unknown", len(TOKENS)) is None
    found = file.tensor("blk.0.attn_k.weight", (16, 32))
    assert found.dtype == np.float32 and found.flags.writeable
    # Q8_0 has a scale for 32 values: half a step of it is at most 1 / 254 of the largest of them.
    expected = tensors()["blk.0.attn_k.weight"]
    assert np.abs(found - expected).max() <= np.abs(expected).max() / 250


@pytest.mark.parametrize("token", [len(TOKENS), -1, True, 2.0])
def test_a_token_that_is_none_of_the_vocabulary(whole, token):
    file = open_file(whole)
    changed = replace(file, values=file.values | {"tokenizer.ggml.eos_token_id": token})
    with pytest.raises(MillisError) as error:
        changed.token("eos", len(TOKENS))
    assert str(error.value) == (
        f"{whole} has tokenizer.ggml.eos_token_id={token}, which is none of its {len(TOKENS)} tokens. Fetch or make "
        "the file again"
    )


def test_what_is_no_file_or_no_gguf(tmp_path):
    assert refused(tmp_path / "none.gguf") == (
        "there is no file FILE: expected a model in GGUF, as model.path=FOLDER/NAME.gguf"
    )
    (tmp_path / "a.gguf").write_bytes(b"PK\3\4" + bytes(100))
    assert refused(tmp_path / "a.gguf") == (
        "FILE cannot be read as GGUF: GGUF magic invalid. Fetch or make the file again, or install a newer gguf"
    )
    (tmp_path / "b.gguf").write_bytes(b"")
    assert refused(tmp_path / "b.gguf").startswith("FILE cannot be read as GGUF: ")


def test_a_file_that_is_cut_short(whole, tmp_path):
    path = tmp_path / "short.gguf"
    content = whole.read_bytes()
    path.write_bytes(content[:-1])
    assert refused(path) == (
        f"FILE cannot be read as GGUF: it has {len(content) - 1} bytes and speaks of {len(content)}: it is cut short. "
        "Fetch or make the file again, or install a newer gguf"
    )


@given(share=st.floats(0, 0.999))
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_file_that_is_cut_anywhere(whole, tmp_path, share):
    content = whole.read_bytes()
    path = tmp_path / "cut.gguf"
    path.write_bytes(content[: int(share * len(content))])
    assert refused(path).startswith("FILE cannot be read as GGUF: ")


def test_a_list_that_claims_to_be_longer_than_the_file(whole, tmp_path):
    # gguf's own reader would go on for 2^40 items, in vain. Before the count of a list come its kind and its items'.
    content, name = bytearray(whole.read_bytes()), b"tokenizer.ggml.token_type"
    place = content.index(name) + len(name) + 8
    assert int.from_bytes(content[place : place + 8], "little") == len(TOKENS)
    content[place : place + 8] = (2**40).to_bytes(8, "little")
    path = tmp_path / "list.gguf"
    path.write_bytes(content)
    assert "FILE cannot be read as GGUF: " in refused(path)


def test_a_type_of_tensor_that_no_gguf_has(whole, tmp_path):
    # A tensor's type follows its name, the number of its sizes (4 bytes) and two sizes (8 each).
    content, name = bytearray(whole.read_bytes()), b"blk.1.ffn_up.weight"
    place = content.index(name) + len(name) + 4 + 16
    assert int.from_bytes(content[place : place + 4], "little") == 8  # Q8_0
    content[place] = 99
    path = tmp_path / "type.gguf"
    path.write_bytes(content)
    assert refused(path) == (
        "FILE cannot be read as GGUF: 99 is not a valid GGMLQuantizationType. Fetch or make the file again, or "
        "install a newer gguf"
    )


def test_without_gguf(whole, monkeypatch):
    monkeypatch.setitem(sys.modules, "gguf", None)
    assert refused(whole) == "models in GGUF files need the package gguf: pip install 'millis[gguf]'"
