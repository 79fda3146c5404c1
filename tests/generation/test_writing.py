"""Writing with a decoder of the real kind: a small Llama with random weights and a tokenizer of its own."""

import numpy as np
import pytest
import torch

from millis.backends.eager_decoder import EagerDecoder
from millis.generation.draft.lookup import Lookup
from millis.generation.draft.smaller_model import SmallerModel
from millis.generation.greedy import Greedy
from millis.generation.sampling import Sampling
from millis.generation.writing import Vocabulary
from millis.models.scratch_decoder import ScratchDecoder
from millis.types import Features, Output

TEXTS = ["The quick brown fox jumps over the lazy dog.", "Das schöne Mädchen aß Käse. 你好，世界 🙂"] * 4


def decoder(layers, seed):
    torch.manual_seed(seed)
    source = ScratchDecoder(layers=layers, hidden_size=32, heads=2, ffn_size=64, vocab_size=300, max_length=128)
    model, tokenizer = source([Output("next", "token", 0, "next")], TEXTS)
    with torch.no_grad():  # far from what training begins with, so that texts are not one token again and again
        for weights in model.parameters():
            weights.mul_(3)
    return EagerDecoder(model), tokenizer


@pytest.fixture(scope="module")
def real():
    made, tokenizer = decoder(2, 0)
    vocabulary = Vocabulary((tokenizer.token_to_id("</s>"),), tokenizer.decode)
    prompt = tokenizer.encode("The quick brown").ids[:-1]  # without the end
    return made, vocabulary, prompt


def test_what_is_written_is_most_likely_where_the_whole_text_is_read_at_once(real):
    made, vocabulary, prompt = real
    found = Greedy(max_tokens=40).begin(made, prompt, vocabulary, context=128).finish()
    ids = np.array([[*prompt, *found.tokens]])
    (logits,) = made(Features(ids, np.ones_like(ids), None))
    assert logits[0, len(prompt) - 1 : -1].argmax(axis=1).tolist() == found.tokens.tolist()
    assert len(found.tokens) > 10


@pytest.mark.parametrize("choice", [Greedy, Sampling])
@pytest.mark.parametrize("draft", [Lookup(tokens=4, shortest=1), SmallerModel(tokens=3)])
def test_guesses_do_not_change_the_text(real, choice, draft):
    made, vocabulary, prompt = real
    plain = choice(max_tokens=60).begin(made, prompt, vocabulary).finish()
    smaller = decoder(1, 1)[0] if draft.asks_a_model else None
    writing = choice(max_tokens=60, draft=draft).begin(made, prompt, vocabulary, smaller=smaller)
    assert "".join(writing.stream()) == vocabulary.decode(plain.tokens.tolist()) == writing.text()
    found = writing.finish()
    assert (found.tokens.tolist(), found.ended) == (plain.tokens.tolist(), plain.ended)
    assert found.drafted > 0


def test_a_text_ends_before_a_stop_string(real):
    made, vocabulary, prompt = real
    whole = Greedy(max_tokens=60).begin(made, prompt, vocabulary)
    whole.finish()
    text = whole.text().rstrip("\ufffd")
    stop = text[len(text) // 2 :][:2]
    writing = Greedy(max_tokens=60, stop=[stop]).begin(made, prompt, vocabulary)
    assert writing.finish().ended == "stop"
    assert writing.text() == text[: text.index(stop)]
