"""Masked-token pre-training: what is hidden, what is learned of it, by hand; and what cannot be pre-trained."""

import math
from types import SimpleNamespace

import pytest
import torch
from labelled import outputs
from torch import nn

from millis.data.dataset import Split
from millis.data.encode import TARGETS, encode
from millis.data.references import IGNORED
from millis.errors import MillisError
from millis.models import wordpiece
from millis.models.scratch import Scratch
from millis.models.scratch_decoder import ScratchDecoder
from millis.training.masked_tokens import TOKENS, EachToken, Guess, Hiding, MaskedTokens, Reading, States, check

TEXTS = ["the cat sat on the mat", "a dog barked at the cat", "is the dog here"]
TARGET = TARGETS + TOKENS


@pytest.fixture(scope="module")
def made():
    torch.manual_seed(0)
    return Scratch(1, 16, 2, 32, vocab_size=90, max_length=20)(outputs(3), TEXTS)


def hidden(targets, share=0.15, vocabulary=1000):
    batch = {"input_ids": targets.clamp(min=0), TARGET: targets}
    Hiding(share, 4, vocabulary).on_train_batch_start(None, None, batch, 0)
    return batch["input_ids"], batch[TARGET]


def test_of_the_tokens_fifteen_in_a_hundred_are_asked_for_and_of_these_eighty_are_hidden_and_ten_replaced():
    torch.manual_seed(0)
    given = torch.full((400, 500), 7)
    ids, targets = hidden(given)
    asked = targets == 7
    assert ((targets == IGNORED) | asked).all() and (ids[~asked] == 7).all()
    # 200,000 tokens: the shares are off by more than five standard deviations once in 10^6 seeds.
    assert asked.float().mean() == pytest.approx(0.15, abs=5 * math.sqrt(0.15 * 0.85 / 200_000))
    of_asked = ids[asked]
    for share, found in ((0.8, of_asked == 4), (0.1, of_asked == 7), (0.1, (of_asked != 4) & (of_asked != 7))):
        assert found.float().mean() == pytest.approx(share, abs=0.01)
    others = of_asked[(of_asked != 4) & (of_asked != 7)]
    assert others.min() < 50 and others.max() > 949, "random tokens are of the whole vocabulary"


def test_what_is_hidden_is_drawn_anew_every_time():
    given = torch.full((4, 100), 7)
    torch.manual_seed(0)
    first, second = hidden(given)[1], hidden(given)[1]
    torch.manual_seed(0)
    assert not torch.equal(first, second) and torch.equal(first, hidden(given)[1])


def test_special_tokens_and_padding_are_not_asked_for():
    ids, targets = hidden(torch.tensor([[IGNORED, 7, IGNORED, IGNORED]]), share=0.999)
    assert targets.tolist() == [[IGNORED, 7, IGNORED, IGNORED]]
    assert ids[0, [0, 2, 3]].tolist() == [0, 0, 0]


def test_each_token_but_special_ones_is_its_own_target(made, tmp_path):
    tokenizer = made[1]
    read = encode(Split(TEXTS, [None] * 3), tokenizer, 20, tmp_path, Reading())
    special = {tokenizer.token_to_id(token) for token in ("[CLS]", "[SEP]")}
    assert read.targets[TOKENS].tolist() == [IGNORED if token in special else token for token in read.ids.tolist()]
    assert EachToken() == EachToken() and hash(EachToken()) == hash(EachToken())


def test_the_term_is_the_cross_entropy_of_the_tokens_that_are_asked_for():
    # Two tokens of two numbers each; what turns states into guesses is replaced by the identity.
    table = nn.Embedding.from_pretrained(torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    config = SimpleNamespace(hidden_size=2)
    term = Guess(SimpleNamespace(encoder=SimpleNamespace(get_input_embeddings=lambda: table, config=config)))
    term.transform = nn.Identity()
    states = torch.tensor([[[2.0, 0.0], [0.0, 3.0], [9.0, 9.0]]])
    # -log softmax: (2, 0) at 0 is log(1 + e^-2), (0, 3) at 0 is 3 + log(1 + e^-3).
    expected = (math.log(1 + math.exp(-2)) + 3 + math.log(1 + math.exp(-3))) / 2
    assert term([states], {TARGET: torch.tensor([[0, 0, IGNORED]])}).item() == pytest.approx(expected, abs=1e-6)
    assert term([states], {TARGET: torch.full((1, 3), IGNORED)}).item() == 0
    assert term([states], {TARGET: torch.tensor([[0, 0, IGNORED]])}).requires_grad, "its bias"


def test_the_table_is_learned_as_a_part_of_the_model_and_the_head_is_not(made):
    model = made[0]
    term, learner = Guess(model), States(model)
    table = model.encoder.get_input_embeddings().weight
    assert all(parameter is not table for parameter in term.parameters())
    ids = torch.tensor([[2, 7, 8, 3]])
    states = learner(input_ids=ids, attention_mask=torch.ones_like(ids))
    assert states.shape == (1, 4, 16)
    term([states], {TARGET: torch.tensor([[IGNORED, 7, IGNORED, IGNORED]])}).backward()
    assert table.grad.abs().sum() > 0 and not any(one.requires_grad for one in model.head.parameters())
    model.zero_grad()


@pytest.mark.parametrize(("settings", "message"), [
    ({"share": 0.0}, r"teacher.pretraining.share=0.0: expected a share of the tokens, above 0 below 1"),
    ({"share": 1.0}, r"teacher.pretraining.share=1.0: expected a share"),
    ({"lr": 0.0}, r"teacher.pretraining.lr=0.0: expected above 0"),
    ({"max_epochs": 0}, r"max_epochs=0: expected at least 1; pretraining@teacher.pretraining=none leaves it out"),
])  # fmt: skip
def test_settings_without_sense(settings, message):
    with pytest.raises(MillisError, match=message):
        MaskedTokens(**settings)


def test_a_model_that_looks_back_only_is_refused(made):
    check(made[0])
    decoder = ScratchDecoder(1, 16, 2, 1, 32, 300, 20)(outputs(3), TEXTS)[0]
    with pytest.raises(MillisError, match=r"expected an encoder, whose tokens look both ways.*got a 'llama' model"):
        check(decoder)


def test_a_tokenizer_without_a_token_that_hides_is_refused(made):
    assert MaskedTokens().hiding(made[1]).mask == made[1].token_to_id("[MASK]") == 4
    bare = wordpiece.train(TEXTS, 90, lowercase=True).to_str().replace("[MASK]", "[GONE]")
    with pytest.raises(MillisError, match=r"behind \[MASK\] or <mask>, and the model's tokenizer has neither"):
        MaskedTokens().hiding(made[1].from_str(bare))
