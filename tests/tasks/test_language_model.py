"""How likely a text is, and where a prompt ends."""

import json
from math import exp, log
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from millis import tasks
from millis.data.dataset import Dataset, Split
from millis.data.passages import Passage, Passages
from millis.errors import MillisError
from millis.tasks.judging import judge, scores
from millis.tasks.language_model import LanguageModel, Likelihood
from millis.types import Output

TASK = LanguageModel()


def read(text, ids, special, offsets):
    """What a reader keeps of a text."""
    return SimpleNamespace(
        text=text, encoding=SimpleNamespace(ids=ids, special_tokens_mask=special, offsets=offsets), overflowing=[]
    )


def logits(*rows):
    """Logits whose softmax is `rows`, in float32 and off by a constant, [1, S, V]."""
    return (np.log(np.array([rows], np.float32)) + 3,)


HALF, QUARTER = (0.5, 0.25, 0.125, 0.125), (0.125, 0.25, 0.5, 0.125)
GREEN = read("grün", [0, 2, 1, 3], [1, 0, 0, 1], [(0, 0), (0, 2), (2, 4), (0, 0)])  # <s> "gr" "ün" </s>


def test_a_likelihood_by_hand():
    # 2 after <s> has 1/8, 1 after it 1/4; what comes after the last token of the text is not judged.
    found = TASK.answer(logits(HALF, QUARTER, HALF, HALF), GREEN)
    assert found == (pytest.approx(log(8) + log(4)), 2, 5)
    assert found.value() == tuple(found)
    assert found.text == f"perplexity {exp((log(8) + log(4)) / 2):.4g} over 2 tokens"


def test_without_a_token_before_the_text_the_first_is_not_predicted():
    alone = read("ab", [2, 1], [0, 0], [(0, 1), (1, 2)])
    assert TASK.answer(logits(QUARTER, HALF), alone) == (pytest.approx(log(4)), 1, 1)


@pytest.mark.parametrize("empty", [
    read("", [], [], []), read("", [0, 3], [1, 1], [(0, 0)] * 2), read("a", [2], [0], [(0, 1)]),
])  # fmt: skip
def test_where_nothing_can_be_predicted(empty):
    found = TASK.answer(logits(*[HALF] * max(1, len(empty.encoding.ids))), empty)
    assert found == (0.0, 0, 0) and found.text == "perplexity 1 over 0 tokens"


def test_of_a_text_that_is_cut_off_the_bytes_that_were_read_count():
    cut = read("grün", [0, 2, 3], [1, 0, 1], [(0, 0), (0, 2), (0, 0)])
    assert TASK.answer(logits(HALF, HALF, HALF), cut) == (pytest.approx(log(8)), 1, 2)


def test_logits_far_apart_are_no_infinity():
    far = (np.array([[[1e4, -1e4, 0, 0]] * 2], np.float32),)
    assert TASK.answer(far, read("a", [0, 1], [1, 0], [(0, 0), (0, 1)])).nats == pytest.approx(2e4)
    assert Likelihood(2e9, 1, 1).text.startswith("perplexity 1.014e+304")


def test_perfect_logits_are_certain():
    certain = (np.eye(4, dtype=np.float32)[None, [2, 1, 3, 0]] * 1e3,)
    assert TASK.answer(certain, GREEN).nats == 0


@given(st.text("ab \n", min_size=1, max_size=40))
def test_a_prompt_is_about_half_of_a_text_and_ends_before_a_blank(text):
    prompt = TASK.prompt(text)
    half = len(text) // 2
    assert text.startswith(prompt) and 1 <= len(prompt) <= max(1, half)
    blanks = [at for at in range(half // 2 + 1, half + 1) if text[at].isspace()]
    assert len(prompt) == (max(1, blanks[-1]) if blanks else max(1, half))


def test_prompts_by_hand():
    assert TASK.prompt("the quick brown fox jumps") == "the quick"
    assert TASK.prompt("abcdefgh") == "abcd" and TASK.prompt("x") == "x" and TASK.prompt("") == ""


def test_an_item_is_a_passage_whose_bytes_are_its_references_where_the_answer_has_none():
    answers, right = TASK.items([(1.5, 3), (2.5, 4, 6)], [(0.0, 3)] * 2, [Passage(9, True), Passage(8, False)])
    assert answers == [(1.5, 3, 9), (2.5, 4, 6)] and right == [(9, 1), (8, 0)]


def test_a_judgement_by_hand():
    # 7 bits over 4 tokens and 14 bytes.
    references = [Passage(10, False), Passage(4, True)]
    answers = [(3 * log(4), 3, 10), (log(2), 1, 4)]
    found = judge(TASK, answers, references)
    assert found.values == {"perplexity": pytest.approx(2 ** (7 / 4)), "bits_per_byte": pytest.approx(0.5)}
    assert found.judged["perplexity"].better == "lower"
    assert scores(TASK, [answer[:2] for answer in answers], references) == found.values


def test_texts_are_as_likely_to_a_hundredth_of_the_nats():
    assert TASK.same([(100.9, 9, 9), (101.1, 9, 9), (0.0, 0, 0)], [(100.0, 9, 9)] * 2 + [(0.0, 0, 0)]) == [
        True, False, True
    ]  # fmt: skip


def test_it_asks_for_a_logit_of_each_token_of_a_vocabulary_that_data_do_not_tell():
    assert TASK.outputs == (Output("next", "token", 0, "next"),)
    assert TASK.summary == "the next token" and TASK.references == Passages(600) and TASK.reads_offsets


def test_data_teach_it_nothing():
    split = Split(["abc"], [Passage(3, True)])
    assert TASK.learned(Dataset("toy", {}, split, split, split)) is TASK


def test_an_artifact_describes_it():
    assert tasks.read(json.loads(json.dumps(LanguageModel("bits_per_byte", [], 99, 50).described()))) == TASK
    assert TASK.identity == TASK.described() == {"name": "language_model"}


@pytest.mark.parametrize(("settings", "message"), [
    ({"max_length": 2}, "task.max_length=2: expected at least 3 (a token between two special ones)"),
    ({"passage": 15}, "task.passage=15: expected at least 16 characters"),
    ({"metric": "accuracy"}, "task.metric=accuracy judges label, and this task answers likelihood a text. Choose one "
     "of bits_per_byte, perplexity"),
    ({"also": ["perplexty"]}, "task.metric=perplexty is unknown to tasks that answer likelihood a text"),
])  # fmt: skip
def test_what_cannot_be_is_refused(settings, message):
    with pytest.raises(MillisError) as error:
        LanguageModel(**settings).learned(None)
    assert message in str(error.value)
