"""What stands around a text and the answer to it: of templates as transformers renders them, and without one."""

import pytest
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from millis.errors import MillisError
from millis.models import byte_pairs, dialogue
from millis.models.load import affixes

CHAT = (
    "{% for m in messages %}<s>{{ m['role'] }}\n{{ m['content'] }}</s>\n{% endfor %}"
    "{% if add_generation_prompt %}<s>assistant\n{% endif %}"
)


def tokenizer() -> Tokenizer:
    made = byte_pairs.train(["what is user assistant the capital of France? Paris"], 300)
    made.post_processor = None
    return made


def test_a_template_is_rendered_as_transformers_does():
    words = tokenizer()
    expected = PreTrainedTokenizerFast(tokenizer_object=tokenizer(), chat_template=CHAT).apply_chat_template(
        [{"role": "user", "content": "what is it?"}], add_generation_prompt=True, return_dict=False
    )
    dialogue.frame(words, CHAT, None, "</s>")
    assert words.encode("what is it?").ids == expected
    answered = words.encode("what is it?", "Paris")
    assert answered.ids[: len(expected)] == expected
    end = words.token_to_id("</s>")
    assert answered.ids[len(expected) :] == [*words.encode("Paris", add_special_tokens=False).ids, end]
    assert answered.type_ids == [0] * len(expected) + [1] * (len(answered.ids) - len(expected))


def test_what_is_around_a_text_is_found_again():
    words = tokenizer()
    dialogue.frame(words, CHAT, None, "</s>")
    before, after = affixes(words)
    assert words.decode(list(before), skip_special_tokens=False) == "<s>user\n"
    assert words.decode(list(after), skip_special_tokens=False) == "</s>\n<s>assistant\n"


@pytest.mark.parametrize("begin", [None, "<s>"])
def test_without_a_template_a_line_ends_between(begin):
    words = tokenizer()
    dialogue.frame(words, None, begin, "</s>")
    assert words.decode(words.encode("a", "b").ids, skip_special_tokens=False) == f"{begin or ''}a\nb</s>"


def test_templates_that_are_none():
    with pytest.raises(MillisError, match="the tokenizer has no token None that ends an answer, so that a model could"):
        dialogue.frame(tokenizer(), None, None, None)
    with pytest.raises(MillisError, match=r"the model.s chat template cannot be rendered: .*Mend it in the tokenizer"):
        dialogue.frame(tokenizer(), "{% for %}", None, "</s>")
    with pytest.raises(MillisError, match="the model's chat template leaves the user's text out: mend it"):
        dialogue.frame(tokenizer(), "hello", None, "</s>")
