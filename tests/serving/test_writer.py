"""Artifacts that write: against transformers' own loop, and what becomes of prompts of any length."""

import multiprocessing
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Thread
from weakref import ref

import numpy as np
import pytest
import torch
from causal import LONGEST, TEXTS, TOKENIZER, of_transformers, speaker, written
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing

from millis.benchmark.quality import answer
from millis.described import described
from millis.errors import MillisError
from millis.generation.greedy import Greedy
from millis.generation.sampling import Sampling
from millis.serving.runner import load
from millis.serving.writer import Reply, Writer, _trailing
from millis.storage.manifest import FILE_NAME, open_manifest, seal
from millis.types import Features

PROMPT = "the cat sat"
SAMPLING = Sampling(max_tokens=12, seed=3)


def bare():
    """The tokenizer without tokens around a text."""
    made = Tokenizer.from_str(TOKENIZER.to_str())
    made.post_processor = None
    return made


@pytest.fixture(scope="module")
def model():
    return speaker()


@pytest.fixture(scope="module")
def artifact(tmp_path_factory, model):
    """Writes an artifact of the model, and loads it."""

    def make(generation=None, model=model, **changes):
        said = None if generation is None else described(generation)
        return load(written(tmp_path_factory.mktemp("artifact") / "a", model, generation=said, **changes))

    return make


@pytest.fixture(scope="module")
def runner(artifact):
    return artifact(Greedy(max_tokens=12))


def theirs(model, text, most, **options):
    """What transformers' own loop writes, without the end token."""
    ids = torch.tensor([TOKENIZER.encode(text).ids[:-1]])
    found = (
        of_transformers(model)
        .generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=most, **options)[
            0, ids.shape[1] :
        ]
        .tolist()
    )
    return tuple(found[: found.index(2)] if 2 in found else found)


@pytest.mark.parametrize("text", [*TEXTS[:4], "", "x"])
def test_greedy_text_is_that_of_transformers(runner, model, text):
    assert isinstance(runner, Writer)
    found = runner.predict(text)
    assert found.tokens == theirs(model, text, 12)
    assert found.text == TOKENIZER.decode(list(found.tokens)) and found.value() == found.text
    assert found.ended == ("end" if len(found.tokens) < 12 else "length")


def test_end_tokens_wait_for_the_least_length(artifact, model):
    found = artifact(Greedy(max_tokens=14, min_tokens=14)).predict(PROMPT)
    assert found.tokens == theirs(model, PROMPT, 14, min_new_tokens=14) and len(found.tokens) == 14


def test_an_end_token_ends_the_text_and_is_not_in_it(artifact, model):
    """A config may name several: here one that is written anyway."""
    whole = artifact(Greedy(max_tokens=12)).predict(TEXTS[1]).tokens
    last = next(token for token in whole[1:] if token != whole[0])
    ends = speaker(eos_token_id=[2, last])
    assert torch.equal(ends.head["next"].weight, model.head["next"].weight)
    found = artifact(Greedy(max_tokens=12), model=ends).predict(TEXTS[1])
    assert (found.ended, found.tokens) == ("end", whole[: whole.index(last)])


def test_a_likelihood_is_the_loss_of_transformers(runner, model):
    text = "the dog sat on the größer mat"
    ids = torch.tensor([TOKENIZER.encode(text).ids[:-1]])
    with torch.no_grad():
        loss = of_transformers(model)(ids, labels=ids).loss.item()
    ((nats, tokens, bytes_),) = answer(runner, [text]).predictions
    assert (tokens, bytes_) == (ids.shape[1] - 1, len(text.encode()))
    assert nats == pytest.approx(loss * tokens, rel=1e-5)


def test_predict_is_the_stages_in_turn(runner):
    given = PROMPT
    for _, stage in runner.stages:
        given = stage(given)
    assert given == runner.predict(PROMPT)
    assert [name for name, _ in runner.stages] == ["tokenize", "feed", "first", "write", "decode"]


@pytest.mark.parametrize("generation", [Greedy(max_tokens=15), SAMPLING, Greedy(max_tokens=15, stop=("t",))])
def test_a_stream_joined_is_the_text(artifact, generation):
    runner = artifact(generation)
    for text in (PROMPT, "größer ist die", ""):
        pieces = list(runner.stream(text))
        assert "".join(pieces) == runner.predict(text).text and all(pieces)


def test_a_text_can_be_written_step_by_step(runner):
    writing = runner.begin(PROMPT)
    assert len(writing.tokens) == 1 and writing.ended is None
    while writing.ended is None:
        writing.step()
    assert runner.reply(writing) == runner.predict(PROMPT)


def test_a_text_ends_before_a_stop_string(artifact, runner):
    whole = runner.predict(PROMPT).text
    stop = whole[3:5]
    found = artifact(Greedy(max_tokens=12, stop=(stop,))).predict(PROMPT)
    assert (found.text, found.ended) == (whole[: whole.index(stop)], "stop")


def test_a_manifest_without_a_way_writes_greedily(artifact, model):
    runner = artifact()
    assert runner.generation == Greedy()
    assert runner.predict(PROMPT).tokens == theirs(model, PROMPT, 64)


def test_the_way_of_choosing_lies_in_the_manifest(artifact):
    runner = artifact(SAMPLING)
    assert runner.generation == SAMPLING
    assert runner.predict(PROMPT) == runner.predict(PROMPT), "the same prompt has the same text"
    assert runner.predict(PROMPT) != artifact(Greedy(max_tokens=12)).predict(PROMPT)


@pytest.mark.parametrize(("said", "message"), [
    ({"_target_": "millis.generation.tree.Tree"}, "generation._target_ is 'millis.generation.tree.Tree': expected one"),
    ({"_target_": "os.system"}, "generation._target_ is 'os.system': expected one of millis.generation.beam.Beam"),
    ({}, "generation._target_ is None: expected one of millis.generation.beam.Beam"),
    (described(Greedy()) | {"max_token": 3}, "generation has no 'max_token' (did you mean 'max_tokens'"),
    (described(Greedy()) | {"max_tokens": 0}, "generation.max_tokens=0: expected 1 or more"),
    (described(Greedy()) | {"max_tokens": "9"}, "generation.max_tokens is '9': expected int, got str"),
])  # fmt: skip
def test_a_way_that_is_none_is_damage(tmp_path, said, message):
    folder = written(tmp_path / "a", generation=said)
    with pytest.raises(MillisError) as error:
        load(folder)
    assert message in str(error.value)
    assert str(error.value).startswith(f"{folder / FILE_NAME} is damaged: ")


def test_of_a_long_prompt_the_end_is_read_behind_the_start_token(artifact, runner, model):
    words = " and ".join(TEXTS)
    ids = TOKENIZER.encode(words).ids[:-1]
    room = LONGEST - 12 + 1  # twelve more are written, the last of which is not read
    assert len(ids) > LONGEST > room, "longer than the model reads, so that the reader cuts it off"
    expected = [1, *ids[len(ids) - room + 1 :]]
    assert runner.tokenize(words).overflowing
    assert runner.begin(words)._continuation.length == room
    found = runner.generation.begin(runner._session, expected, runner._vocabulary, LONGEST).finish()
    assert runner.predict(words).tokens == tuple(found.tokens.tolist())
    assert runner.cut(words) == len(ids) - room and runner.cut(PROMPT) == 0
    # One that the reader takes whole, but that leaves no room for what is written.
    short = TOKENIZER.decode(ids[1 : LONGEST - 4])
    assert not runner.tokenize(short).overflowing and runner.cut(short) > 0
    assert len(runner.predict(short).tokens) == 12


def test_of_a_long_text_that_is_answered_the_beginning_is_read_and_what_stands_before_the_answer(tmp_path):
    """As in training, where the end of a text is cut off."""
    asking = bare()
    mark = asking.token_to_id("!")
    asking.post_processor = TemplateProcessing(single="<s> $A !", special_tokens=[("<s>", 1), ("!", mark)])
    manifest = open_manifest(written(tmp_path / "a", speaker(affixes=((1,), (mark,))), asking))
    continued = load(tmp_path / "a")
    task = {"name": "sequence_to_sequence", "instruction": ""}
    runner = Writer(replace(manifest, task=task), continued._reader, continued._session)
    runner.generation = Greedy(max_tokens=12)
    words, room = " and ".join(TEXTS), LONGEST - 12 + 1
    ids = asking.encode(words).ids
    expected = [*ids[: room - 1], mark]
    assert len(ids) > room
    assert runner._prompt(runner._framed(words)).tolist() == expected
    found = runner.generation.begin(runner._session, expected, runner._vocabulary, LONGEST).finish()
    assert runner.predict(words).tokens == tuple(found.tokens.tolist())
    assert runner.cut(words) == len(ids) - room
    for most in (LONGEST - 1, LONGEST):  # a start token, one of the text, and the mark: the last written is not read
        runner.generation = Greedy(max_tokens=most)
        with pytest.raises(MillisError, match=rf"max_tokens={most} leaves nothing of a text within the {LONGEST} tok"):
            runner.predict(words)
    runner.generation = Greedy(max_tokens=LONGEST - 2)
    assert runner._prompt(runner._framed(words)).tolist() == [1, ids[1], mark]


@given(st.text("the cato \n猫", max_size=120), st.integers(1, 2 * LONGEST))
def test_any_prompt_is_answered_within_the_context(runner, text, most):
    runner.generation = Greedy(max_tokens=most, min_tokens=most)
    found = runner.predict(text)
    runner.generation = Greedy(max_tokens=12)
    prompt = min(len(TOKENIZER.encode(text).ids) - 1, max(2, LONGEST - most + 1))
    assert len(found.tokens) == min(most, LONGEST - prompt + 1)
    assert found.ended == ("length" if most <= LONGEST - prompt + 1 else "full")


def test_more_tokens_than_the_context_leave_one_of_the_prompt(artifact):
    runner = artifact(Greedy(max_tokens=500, min_tokens=500))
    found = runner.predict(PROMPT)
    assert (len(found.tokens), found.ended) == (LONGEST - 1, "full")  # <s> and one more are read, and the last is not


def test_an_empty_prompt_begins_with_the_start_token_or_is_refused(artifact, model):
    assert artifact(Greedy(max_tokens=6)).predict("").tokens == theirs(model, "", 6)
    runner = artifact(Greedy(max_tokens=6), model=speaker(affixes=((), ())), tokenizer=bare())
    assert len(runner.predict("t").tokens) <= 6
    with pytest.raises(MillisError) as error:
        runner.predict("")
    assert str(error.value) == (
        "the prompt has no tokens, and the tokenizer puts none before it: there is nothing to go on from. Give a text"
    )
    assert answer(runner, [""]).predictions == [(0.0, 0, 0)]


@pytest.mark.parametrize("text", [3, None, b"a", ("a", "b"), "\ud800"])
def test_a_prompt_that_is_no_text(runner, text):
    with pytest.raises(MillisError, match="a request got a"):
        runner.predict(text)


def test_a_deadline_ends_a_text_and_time_enough_changes_nothing(runner):
    whole = runner.predict(PROMPT)
    timed = runner.predict(PROMPT, deadline_ms=60_000)
    assert (timed.answer, timed.step, timed.steps, timed.kept) == (whole, 1, 1, True)
    assert [*timed.stage_ms] == [name for name, _ in runner.stages]
    assert sum(timed.stage_ms.values()) == pytest.approx(timed.elapsed_ms)
    cut = runner.predict(PROMPT, deadline_ms=1e-6)
    assert cut.answer.ended == "deadline" and not cut.kept
    assert 1 <= len(cut.answer.tokens) < len(whole.tokens) and whole.text.startswith(cut.answer.text)
    with pytest.raises(MillisError, match="deadline_ms=0: expected a positive number of milliseconds"):
        runner.predict(PROMPT, deadline_ms=0)


def test_nothing_is_written_for_nobody(runner):
    heard = []
    left = runner.write_within(PROMPT, 60_000, lambda piece: heard.append(piece) or len(heard) < 2)
    assert left.answer.ended == "left" and len(heard) == 2 and left.answer.text.startswith("".join(heard))


@pytest.mark.parametrize("tokens", [1, 0, -3, LONGEST // 2 + 1])
def test_a_length_that_cannot_be_timed(artifact, tokens):
    runner = artifact(Greedy(max_tokens=12))
    with pytest.raises(MillisError) as error:
        runner.at_length(tokens)
    assert str(error.value) == (
        f"benchmark.new_tokens={tokens}: expected at least 2, of which the first is timed by itself, and at most half "
        f"of the {LONGEST} tokens that the model reads. Raise task.max_length"
    )
    assert runner.generation == Greedy(max_tokens=12)


@pytest.mark.parametrize("generation", [Greedy(max_tokens=3, stop=("t",)), SAMPLING])
def test_at_a_length_every_text_has_so_many_tokens_chosen_as_before(artifact, generation):
    runner = artifact(generation)
    runner.at_length(LONGEST // 2)
    assert type(runner.generation) is type(generation)
    long = " ".join(TEXTS)
    assert [len(runner.predict(text).tokens) for text in ("", PROMPT, long)] == [LONGEST // 2] * 3


@pytest.mark.parametrize("kind", [Greedy, Sampling])
def test_a_text_has_the_form_that_is_asked_for_but_where_lengths_are_timed(artifact, kind):
    pytest.importorskip("llguidance")
    choices = ("the cat sat", "a dog", "größer ist die 猫")
    runner = artifact(kind(choices=choices))
    for text in ("", PROMPT, " ".join(TEXTS)):
        found = runner.predict(text)
        assert (found.text in choices, found.ended) == (True, "end")
        assert "".join(runner.stream(text)) == found.text
    assert artifact(kind(regex="[0-9]{3}")).predict(PROMPT).text.isdigit()
    runner.at_length(9)
    assert len(runner.predict(PROMPT).tokens) == 9


def test_a_request_is_the_prompt_of_a_passage(runner):
    assert runner.request("the quick brown fox jumps") == "the quick"


def test_eight_threads_are_answered_as_one_after_the_other(runner):
    texts = [f"{text} {number}" for number in range(4) for text in TEXTS[:4]]
    alone = [runner.predict(text) for text in texts]
    with ThreadPoolExecutor(8) as callers:
        assert list(callers.map(runner.predict, texts)) == alone
        assert ["".join(pieces) for pieces in callers.map(runner.stream, texts)] == [one.text for one in alone]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_refuses(runner):
    def asked(queue):
        for ask in (runner.predict, runner.begin, lambda text: list(runner.stream(text)), runner.cut):
            try:
                ask(PROMPT)
            except MillisError as error:
                queue.put(str(error))
            else:
                queue.put("answered")

    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=asked, args=(queue,))
    child.start()
    said = [queue.get(timeout=60) for _ in range(4)]
    child.join()
    assert [one[:58] for one in said] == ["this runner was loaded before the process was forked, and "] * 4
    assert runner.predict(PROMPT).tokens, "its parent answers still"


def test_a_runner_goes_when_it_is_let_go(artifact):
    runner = artifact(Greedy(max_tokens=3))
    gone = ref(runner)
    runner.predict(PROMPT)
    del runner
    assert gone() is None


def test_a_reply_is_json_able():
    assert Reply("a", (1, 2), "end").value() == "a"


def test_tokens_that_the_model_does_not_have_are_found_while_loading(tmp_path, model):
    small = speaker(eos_token_id=2)
    folder = written(tmp_path / "a", small)
    TOKENIZER.save(str(folder / "tokenizer.json"))
    larger = Tokenizer.from_str(TOKENIZER.to_str())
    larger.add_tokens(["<more>"])
    larger.save(str(folder / "tokenizer.json"))
    seal(folder, open_manifest(folder, verify=False))
    with pytest.raises(
        MillisError, match=r"has ids up to \d+, the model's table \d+ rows: they do not belong together"
    ):
        load(folder)


def test_a_model_that_does_not_write_is_no_writer(runner):
    outputs = runner.compute(Features(np.array([[1, 5]]), np.ones((1, 2), np.int64), None))
    assert [array.shape for array in outputs] == [(1, 2, TOKENIZER.get_vocab_size())]


def test_a_thread_that_is_asked_first_shares_the_tokenizer_without_truncation(artifact):
    """Long prompts make a second tokenizer, once, whoever comes first."""
    runner, long, found = artifact(Greedy(max_tokens=4)), " ".join(TEXTS), []
    threads = [Thread(target=lambda: found.append(runner.predict(long))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [runner.predict(long)] * 8


def test_an_end_in_the_middle_of_what_stands_before_an_answer_stays():
    """ChatML ends the user's turn with the token that ends answers."""
    assert [_trailing(tokens, (2,)) for tokens in ((2, 9, 1), (9, 2), (2, 2), (), (9,))] == [0, 1, 2, 0, 0]
