"""Language models of trained weights: every architecture that looks back only, tied or with a matrix of its own."""

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

from millis.errors import MillisError
from millis.models import byte_pairs
from millis.models.load import Pretrained
from millis.tasks.language_model import LanguageModel

TEXTS = ["the cat sat on the mat", "a dog barked at the cat"]
NEXT = LanguageModel().outputs


@pytest.fixture
def saved(tmp_path, spec):
    """A language model's folder as a download leaves it."""

    def make(model_type, tied=True, size=None):
        torch.manual_seed(0)
        tokenizer = byte_pairs.train(TEXTS, 280)
        rows = size or tokenizer.get_vocab_size() + 3  # tables have spare rows, and Qwen's tokenizer takes one of them
        values = spec(model_type).encoder | {"vocab_size": rows, "tie_word_embeddings": tied}
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**values)).eval()
        model.save_pretrained(tmp_path)
        PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>").save_pretrained(tmp_path)
        return model

    return make


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("model_type", ["gpt2", "llama", "mistral", "qwen2"])
def test_a_saved_language_model_comes_back(saved, tmp_path, model_type, tied):
    expected = saved(model_type, tied)
    model, tokenizer = Pretrained(str(tmp_path))(NEXT, TEXTS)
    ids = torch.tensor([tokenizer.encode(TEXTS[0]).ids])
    with torch.inference_mode():
        found = model.eval()(ids, torch.ones_like(ids))
        torch.testing.assert_close(found, expected(ids).logits, atol=1e-5, rtol=0)
    assert model.spec.tied == tied
    assert model.spec.outputs[0].width == len(expected.get_input_embeddings().weight)
    assert model.spec.affixes == ((1,), (2,))


def test_an_architecture_that_looks_ahead(saved, tmp_path):
    saved("bert")
    with pytest.raises(MillisError, match=r"a 'bert' model cannot say what comes next: expected one whose tokens look"):
        Pretrained(str(tmp_path))(NEXT, TEXTS)


def test_an_encoder_without_a_language_models_head_is_no_damage(saved, tmp_path):
    model = saved("bert")
    model.bert.save_pretrained(tmp_path)
    with pytest.raises(MillisError, match=r"a 'bert' model cannot say what comes next: expected one whose tokens look"):
        Pretrained(str(tmp_path))(NEXT, TEXTS)


def test_a_table_of_another_vocabulary(saved, tmp_path):
    saved("llama", size=270)
    with pytest.raises(MillisError, match=r"the tokenizer of .* has ids up to \d+, the model 270 rows"):
        Pretrained(str(tmp_path))(NEXT, TEXTS)
