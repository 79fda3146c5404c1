"""What stands before, between and after a text and what is written to it, put into a tokenizer.

A model that was trained to converse names it in a chat template (of its tokenizer's config); one that was not has a
line end between the two. It is rendered once, so that an artifact's tokenizer holds all of it, and no template runs
where requests are answered.
"""

from typing import Any

from tokenizers import Tokenizer, processors
from transformers import PreTrainedTokenizerFast

from millis.errors import MillisError

MARK = "\u241etext\u241e"  # stands for the text while a template is rendered; symbols that none has
LINE = "\n"


def frame(tokenizer: Tokenizer, template: str | None, begin: str | None, end: str | None) -> None:
    """Have `tokenizer` put a single text as a user's turn, and a pair as that and the answer, with token type 1.

    Args:
        tokenizer: Changed in place.
        template: Of a conversation, in Jinja; None where there is none.
        begin: The token that texts begin with, where there is one.
        end: The token that ends an answer.

    Raises:
        MillisError: no token ends an answer, or a template that cannot be rendered, or that leaves the text out.
    """
    if end is None or tokenizer.token_to_id(end) is None:
        raise MillisError(
            f"the tokenizer has no token {end!r} that ends an answer, so that a model could not stop: expected one, "
            "named as eos_token_id in the model's config"
        )
    before, between = (begin or "", LINE) if template is None else _rendered(tokenizer, template, begin, end)
    parts = {"<before>": before, "<between>": between, "<end>": end}
    ids = {name: tokenizer.encode(text, add_special_tokens=False).ids for name, text in parts.items()}
    known: dict[str, Any] = {
        name: {"id": name, "ids": found, "tokens": [tokenizer.id_to_token(token) for token in found]}
        for name, found in ids.items()
        if found
    }

    def sequence(*names: str) -> str:
        return " ".join(name for name in names if not name.startswith("<") or name.split(":")[0] in known)

    tokenizer.post_processor = processors.TemplateProcessing(
        single=sequence("<before>", "$A", "<between>"),
        pair=sequence("<before>:0", "$A:0", "<between>:0", "$B:1", "<end>:1"),
        special_tokens=list(known.values()),
    )


def _rendered(tokenizer: Tokenizer, template: str, begin: str | None, end: str) -> tuple[str, str]:
    """What a template puts before and after a user's only text, up to where the answer begins."""
    wrapper = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, chat_template=template, eos_token=end, bos_token=begin
    )
    try:
        text = wrapper.apply_chat_template(
            [{"role": "user", "content": MARK}], tokenize=False, add_generation_prompt=True
        )
    except Exception as error:  # Jinja has several of its own
        raise MillisError(
            f"the model's chat template cannot be rendered: {error}. Mend it in the tokenizer's config"
        ) from error
    before, mark, between = str(text).partition(MARK)
    if not mark:
        raise MillisError("the model's chat template leaves the user's text out: mend it in the tokenizer's config")
    return before, between
