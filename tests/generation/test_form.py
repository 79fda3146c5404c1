"""Forms: what is written is of the form, whatever the model says; what is forced is not asked of it."""

import re

import numpy as np
import pytest
from decoders import HashedDecoder
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from millis import generation
from millis.described import described
from millis.errors import MillisError
from millis.generation import form
from millis.generation.draft.lookup import Lookup
from millis.generation.greedy import Greedy
from millis.generation.sampling import Sampling
from millis.generation.writing import Vocabulary
from millis.models import byte_pairs, wordpiece

pytest.importorskip("llguidance")

TOKENIZER = byte_pairs.train(["positive negative neutral 你好 the quick brown fox 0123456789 abc cab bca"] * 3, 330)
SIZE, END = TOKENIZER.get_vocab_size(), TOKENIZER.token_to_id("</s>")
VOCABULARY = Vocabulary((END,), TOKENIZER.decode, TOKENIZER.to_str)
PROMPT = TOKENIZER.encode("the fox").ids[:-1]


def begun(choice, seed=0, size=SIZE, vocabulary=VOCABULARY, **given_too):
    decoder = HashedDecoder(size, seed=seed)
    return choice.begin(decoder, PROMPT, vocabulary, **given_too), decoder


WORD = st.text(st.sampled_from('abc 你🙂"\\\n/|(.'), min_size=1, max_size=6)


@given(st.lists(WORD, min_size=1, max_size=5), st.integers(0, 2**20), st.booleans(), st.booleans())
def test_a_text_is_one_of_the_choices(choices, seed, greedy, guessed):
    kind = Greedy if greedy else Sampling
    writing, _ = begun(kind(choices=choices, draft=Lookup() if guessed else None), seed)
    pieces = list(writing.stream())
    assert writing.text() == "".join(pieces)
    assert writing.text() in choices
    found = writing.finish()
    assert found.ended == "end"
    assert TOKENIZER.decode(found.tokens.tolist()) == writing.text()


@given(st.integers(0, 2**20), st.booleans())
def test_guesses_do_not_change_what_is_chosen(seed, greedy):
    kind = Greedy if greedy else Sampling
    regex = "(the|a)( (quick|brown|fox|positive)){3,6}"
    found = [begun(kind(regex=regex, draft=draft), seed)[0].finish() for draft in (None, Lookup(), Lookup(2))]
    assert len({(*one.tokens.tolist(), one.ended) for one in found}) == 1


@pytest.mark.parametrize(
    "regex",
    [
        "[0-9]{3}",
        "a*b+",
        "(positive|negative): [1-9][0-9]?",
        "(你|好|🙂){2,4}",
        "[0-9]{2}-[0-9]{2}",
        '"[a-z]{0,9}"',
        "[^a]{4}",
    ],
)
def test_a_text_matches_the_expression(regex):
    for seed in range(10):
        writing, _ = begun(Sampling(regex=regex, seed=seed, max_tokens=200), seed)
        assert writing.finish().ended == "end"
        assert re.fullmatch(regex, writing.text())


def test_the_first_token_is_the_most_likely_of_those_that_begin_a_choice():
    """Choices that begin with letters of their own: the token that is chosen first tells which it will be."""
    choices = ["positive", "negative", "abc cab", "the quick"]
    texts = [TOKENIZER.decode([token]) for token in range(SIZE)]
    begin = [token for token, text in enumerate(texts) if text and any(one.startswith(text) for one in choices)]
    chosen = set()
    for seed in range(20):
        writing, decoder = begun(Greedy(choices=choices), seed)
        logits = decoder.logits(PROMPT)
        best = texts[max(begin, key=lambda token, logits=logits: logits[token])]
        writing.finish()
        assert writing.text() == next(one for one in choices if one[0] == best[0])
        chosen.add(writing.text())
    assert chosen == set(choices)


def test_a_label_takes_no_more_than_its_prompt():
    writing, decoder = begun(Greedy(choices=["positive", "negative"]))
    assert writing.ended == "end"
    assert len(writing.tokens) > 1
    assert decoder.begun[0].reads == [len(PROMPT)]


def test_what_is_forced_is_read_with_what_comes():
    writing, decoder = begun(Greedy(regex="the quick brown (fox|abc) and (abc|the)", max_tokens=99))
    found = writing.finish()
    reads = decoder.begun[0].reads
    assert len(found.tokens) > 2 * len(reads)  # three choices, and each forced text is read at once
    assert len(reads) <= 4
    # All but the last tokens, which nothing comes after, were read, and in order.
    assert decoder.begun[0].tokens == [*PROMPT, *found.tokens.tolist()][: sum(reads)]


def test_a_text_may_be_cut_before_its_form_is_complete():
    writing, _ = begun(Greedy(regex="[a-c]{50}", max_tokens=4))
    assert writing.finish().ended == "length"
    assert re.fullmatch("[a-c]{1,49}", writing.text())
    writing, _ = begun(Greedy(choices=["the quick brown fox"], max_tokens=2))
    found = writing.finish()
    assert (len(found.tokens), found.ended) == (2, "length")
    writing, _ = begun(Greedy(regex="[a-c]{50}"), context=len(PROMPT) + 2)
    assert (len(writing.finish().tokens), writing.ended) == (3, "full")


def test_a_stop_string_ends_a_form():
    writing, _ = begun(Greedy(regex="(the quick)", stop=["ui"]))
    assert (writing.finish().ended, writing.text()) == ("stop", "the q")


def test_a_choice_that_another_begins_with_may_end():
    writings = [begun(Sampling(choices=["a", "ab"], seed=seed, temperature=5.0), seed)[0] for seed in range(60)]
    for writing in writings:
        writing.finish()
    assert {writing.text() for writing in writings} == {"a", "ab"}


def test_tokens_that_the_tokenizer_does_not_have_are_not_written():
    for seed in range(5):
        found = begun(Greedy(regex="[a-z ]{20}", max_tokens=40), seed, SIZE + 200)[0].finish()
        assert max(found.tokens) < SIZE


def test_the_decoder_keeps_its_logits():
    logits = np.zeros(SIZE, np.float32)
    logits.flags.writeable = False
    of = form.Form(form.grammar(("positive",), None), VOCABULARY.serialized, (END,), SIZE)
    assert np.isfinite(of.possible(logits)).sum() == 1


def test_what_a_choice_says_of_itself_is_read_back():
    for made in (Greedy(choices=["positive", "negative"]), Sampling(regex="[0-9]+")):
        assert generation.read(described(made)) == made


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"choices": "yes"}, "generation.choices='yes': expected a list of strings, such as ['yes']"),
        ({"choices": ["yes", ""]}, "generation.choices=['yes', ''] has an empty string: leave it out"),
        (
            {"choices": ["yes"], "regex": "no"},
            "generation.choices=['yes'] and generation.regex='no': expected one of them. Write the choices into the "
            "expression",
        ),
        ({"regex": "(a"}, "generation.regex='(a' is no regular expression: unclosed group"),
        (
            {"regex": "a(?=b)"},
            "generation.regex='a(?=b)' is no regular expression: look-around, including look-ahead and look-behind, is "
            "not supported",
        ),
        (
            {"regex": "a+", "min_tokens": 2},
            "generation.min_tokens=2 with choices or a regex, which say how long a text is: expected 0. Say it in the "
            "regex",
        ),
    ],
)
def test_what_cannot_be_is_refused(values, message):
    with pytest.raises(MillisError) as caught:
        Greedy(**values)
    assert str(caught.value) == message


def test_what_is_not_installed_is_named(monkeypatch):
    monkeypatch.setattr(form, "find_spec", lambda name: None)
    with pytest.raises(MillisError) as caught:
        Greedy(choices=["never asked for before"])
    assert str(caught.value) == (
        "generation.choices and generation.regex need llguidance, which is not installed: pip install "
        "'millis[constrained]'"
    )


@pytest.mark.parametrize(
    ("vocabulary", "message"),
    [
        (
            Vocabulary((END,), str),
            "generation.choices and generation.regex need the tokenizer (its tokenizer.json) and an end token: got no "
            "tokenizer. Use an artifact that has both",
        ),
        (
            VOCABULARY._replace(ends=()),
            "generation.choices and generation.regex need the tokenizer (its tokenizer.json) and an end token: got no "
            "end token. Use an artifact that has both",
        ),
        (
            VOCABULARY._replace(serialized=wordpiece.train(["the quick fox"], 50, lowercase=True).to_str),
            "generation.choices and generation.regex cannot be used with this tokenizer: ",
        ),
    ],
)
def test_what_cannot_be_written_is_refused(vocabulary, message):
    with pytest.raises(MillisError) as caught:
        begun(Greedy(choices=["yes", "no"]), vocabulary=vocabulary)
    assert str(caught.value).startswith(message)


def test_a_vocabulary_that_cannot_spell_a_text_is_refused():
    few = Tokenizer(models.BPE())
    few.pre_tokenizer, few.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    few.train_from_iterator(["abc"], trainers.BpeTrainer(special_tokens=["</s>"], show_progress=False))
    vocabulary = Vocabulary((0,), few.decode, few.to_str)
    with pytest.raises(MillisError) as caught:
        begun(Greedy(choices=["xyz"]), size=few.get_vocab_size(), vocabulary=vocabulary)
    assert str(caught.value) == (
        "no token of the vocabulary goes on to a text that generation.choices or generation.regex allows "
        "(NoExtensionBias). Use a tokenizer that has every byte, or ask for another text"
    )


def test_a_decoder_of_fewer_tokens_is_refused():
    with pytest.raises(MillisError) as caught:
        begun(Greedy(choices=["yes", "no"]), size=SIZE - 20)
    assert str(caught.value) == (
        "generation.choices and generation.regex cannot be used with this tokenizer: vocab size too small; "
        f"{SIZE - 20} vs {SIZE}. Use one of byte-level or byte-fallback BPE, with which the model was trained"
    )
