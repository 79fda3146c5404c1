"""What a spec says of a model's outputs."""

import pytest

from millis.errors import MillisError
from millis.models.outputs import described, each, is_one_text, over, read, require, require_one_text, writes
from millis.types import Output

LABEL, TAGS = Output("intent", "text", 3), Output("tags", "token", 5)
NEXT = Output("next", "token", 0, "next")


def test_a_spec_says_its_outputs():
    assert read({"num_labels": 3}) == (Output("logits", "text", 3),)
    assert read({"outputs": [["intent", "text", 3, "one"], ["tags", "token", 5, "one"]]}) == (LABEL, TAGS)


@pytest.mark.parametrize(
    "outputs",
    [
        (Output("logits", "text", 3),),
        (TAGS,),
        (LABEL, TAGS),
        (Output("labels", "text", 4, "each"),),
        (Output("number", "text", 1, "value"),),
        (NEXT,),
    ],
)
def test_what_is_described_is_read(outputs):
    assert read(described(outputs)) == outputs


def test_one_text_is_one_row_a_text():
    assert is_one_text([LABEL])
    assert not is_one_text([TAGS]) and not is_one_text([LABEL, TAGS])


def test_what_cannot_be_given_is_refused():
    require([LABEL, TAGS], ("text", "token"), "anything", "")
    with pytest.raises(MillisError, match="early_exit answers a text as a whole, and tags answers each word of a text"):
        require_one_text([LABEL, TAGS], "early_exit", "Choose none")
    with pytest.raises(
        MillisError, match=r"chooses one label a text, and the task asks for intent and other. Choose none"
    ):
        require_one_text([LABEL, LABEL._replace(name="other")], "early_exit", "Choose none")


def test_one_output_is_itself():
    assert each(1) == (1,) and each((1, 2)) == each([1, 2]) == (1, 2)


def test_several_labels_and_numbers_are_no_choice_of_one():
    for choice, words in (("each", "several labels a text"), ("value", "a number")):
        assert not is_one_text([LABEL._replace(choice=choice)])
        with pytest.raises(MillisError, match=f"a cascade chooses one label a text, and the task asks for {words}. No"):
            require_one_text([LABEL._replace(choice=choice)], "a cascade", "No")


def test_what_says_the_next_token_alone_writes():
    assert writes([NEXT])
    assert not any(map(writes, ([TAGS], [LABEL], [NEXT, LABEL], [])))


def test_a_vocabulary_tells_how_many_logits_there_are():
    assert over([NEXT, TAGS], 40) == (NEXT._replace(width=40), TAGS)


def test_what_comes_next_is_neither_of_a_text_nor_of_its_words():
    require([NEXT], ("text", "token", "next"), "anything", "")
    for gives, able in (
        (("text",), "a text as a whole"), (("text", "token"), "a text as a whole and each word of a text"),
    ):  # fmt: skip
        with pytest.raises(MillisError) as error:
            require([NEXT], gives, "student=bilstm", "Choose another")
        assert str(error.value) == (
            f"student=bilstm answers {able}, and next answers what comes next in a text. Choose another"
        )
