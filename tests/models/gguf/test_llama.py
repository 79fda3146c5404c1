"""A Llama out of a GGUF file: as transformers' own reader has it, and every file that cannot be is refused."""

import re

import numpy as np
import pytest
import torch

pytest.importorskip("gguf")
from gguf import GGMLQuantizationType, quants
from gguf_files import TOKENS, tensors, write
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from millis.errors import MillisError
from millis.models.gguf import llama
from millis.models.gguf.file import open_file


def language_model(read):
    """transformers' model of what was read."""
    config = LlamaConfig(**{name: value for name, value in read.config.items() if name != "model_type"})
    model = LlamaForCausalLM(config).eval()
    model.model.load_state_dict(read.weights)
    if read.output is not None:
        model.lm_head.weight.data = read.output
    model.tie_weights()
    return model


@pytest.mark.parametrize("tied", [True, False])
def test_logits_are_those_of_transformers_own_reader(tmp_path, tied):
    pytest.importorskip("accelerate")
    path = write(tmp_path / "a.gguf", tensors(tied=tied), "Q8_0")
    ours = language_model(llama.read(open_file(path)))
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file=path.name, dtype=torch.float32).eval()
    ids = torch.randint(0, len(TOKENS), (1, 20), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(ours(ids).logits, theirs(ids).logits, atol=1e-5, rtol=0)
    assert ours.config.tie_word_embeddings == tied


def test_config_says_what_the_file_says(tmp_path):
    read = llama.read(open_file(write(tmp_path / "a.gguf", tensors())))
    assert read.config == {
        "model_type": "llama",
        "vocab_size": len(TOKENS),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "max_position_embeddings": 64,
        "rms_norm_eps": pytest.approx(1e-5),
        "rope_parameters": {"rope_type": "default", "rope_theta": 5000.0},
        "tie_word_embeddings": True,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 2,
    }
    assert read.output is None


def test_what_is_not_said_is_as_llama_cpp_has_it(tmp_path):
    arrays = tensors()
    for layer in range(2):  # as many heads of keys as of queries
        for name in ("attn_k", "attn_v"):
            arrays[f"blk.{layer}.{name}.weight"] = arrays[f"blk.{layer}.attn_q.weight"]
    absent = {
        f"llama__{name}": None for name in ("attention__head_count_kv", "rope__freq_base", "rope__dimension_count")
    }
    ids = {f"tokenizer__ggml__{name}_token_id": None for name in ("bos", "eos", "padding")}
    config = llama.read(open_file(write(tmp_path / "a.gguf", arrays, **absent, **ids))).config
    assert config["num_key_value_heads"] == 4 and config["head_dim"] == 8
    assert config["rope_parameters"]["rope_theta"] == 10_000
    assert config["bos_token_id"] is None and config["eos_token_id"] is None and config["pad_token_id"] is None


def test_rows_of_two_heads_by_hand():
    # A head of 4: the file pairs rows 0-1 and 2-3, transformers 0-2 and 1-3. So 0, 2 come first, then 1, 3.
    rows = np.arange(8, dtype=np.float32)[:, None]
    assert llama.unrotated(rows, 2).ravel().tolist() == [0, 2, 1, 3, 4, 6, 5, 7]


@pytest.mark.parametrize("kind", ["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1"])
def test_matrices_of_every_kind_are_unpacked(tmp_path, kind):
    arrays = tensors()
    read = llama.read(open_file(write(tmp_path / "a.gguf", arrays, kind)))
    stored = GGMLQuantizationType[kind]
    expected = quants.dequantize(quants.quantize(arrays["blk.1.ffn_down.weight"], stored), stored)
    assert read.weights["layers.1.mlp.down_proj.weight"].numpy() == pytest.approx(expected, abs=1e-7)
    assert read.weights["norm.weight"].numpy() == pytest.approx(arrays["output_norm.weight"])
    assert {weight.dtype for weight in read.weights.values()} == {torch.float32}


def refused(path):
    with pytest.raises(MillisError) as error:
        llama.read(open_file(path))
    return str(error.value).replace(str(path), "FILE")


def test_another_architecture(tmp_path):
    assert refused(write(tmp_path / "a.gguf", tensors(), architecture="qwen2")) == (
        "FILE holds a model of the architecture 'qwen2', expected 'llama'. Choose a Llama (SmolLM2, TinyLlama, "
        "Mistral), or load the model in transformers' form with model=hub"
    )


def test_a_type_of_tensor_that_is_not_unpacked(tmp_path):
    arrays = tensors() | {"blk.0.attn_v.weight": np.ones((16, 32), np.int8)}
    assert refused(write(tmp_path / "a.gguf", arrays)) == (
        "FILE: tensor blk.0.attn_v.weight is of type I8, which the installed gguf does not unpack. Convert the file to "
        "Q8_0 or F16, or install a newer gguf"
    )


def test_tensors_that_are_absent_or_of_another_shape(tmp_path):
    arrays = tensors()
    arrays["blk.1.ffn_uq.weight"] = arrays.pop("blk.1.ffn_up.weight")
    assert "FILE has the tensor blk.1.ffn_uq.weight, which a plain Llama does not have" in refused(
        write(tmp_path / "a.gguf", arrays)
    )
    del arrays["blk.1.ffn_uq.weight"]
    assert refused(write(tmp_path / "b.gguf", arrays)) == (
        "FILE has no tensor blk.1.ffn_up.weight, which its metadata ask for. Fetch or make the file again"
    )
    assert refused(write(tmp_path / "c.gguf", tensors(), llama__feed_forward_length=96)) == (
        "FILE: tensor blk.0.ffn_gate.weight is [64, 32], its metadata ask for [96, 32]. Fetch or make the file again"
    )


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (
            {"llama__block_count": None},
            "FILE has metadata that cannot be: there is no required field llama.block_count",
        ),
        (
            {"llama__block_count": "two"},
            "FILE has metadata that cannot be: llama.block_count: expected int, got str",
        ),
        ({"llama__attention__head_count": 3}, "FILE has 3 heads and 2 of keys and values, expected a multiple"),
        ({"llama__attention__key_length": 7}, "FILE has heads of 7 channels, expected an even number"),
        ({"llama__rope__dimension_count": 4}, "FILE has positions in 4 of a head's 8 channels, expected all"),
        ({"llama__rope__scaling__type": "yarn"}, "FILE has positions scaled by 'yarn', expected none"),
        (
            {"tokenizer__ggml__eos_token_id": 9999},
            f"FILE has tokenizer.ggml.eos_token_id=9999, which is none of its {len(TOKENS)} tokens",
        ),
    ],
)
def test_metadata_that_cannot_be(tmp_path, values, told):
    message = refused(write(tmp_path / "a.gguf", tensors(), **values))
    assert message.startswith(told)
    assert re.search(r"Fetch or make the file again$|load the model in transformers' form with model=hub$", message)
