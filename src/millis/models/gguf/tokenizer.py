"""The byte-level BPE in a GGUF file as a tokenizer of the library `tokenizers` (Radford et al. 2019, section 2.2).

A file holds tokens and merges; how a text is split before, it says by a name of llama.cpp's.
"""

import msgspec
from msgspec import field
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors

from millis.errors import MillisError, nearest, without_panics
from millis.models.gguf.file import AGAIN, GgufFile

MODEL = "gpt2"
CONTROL, USER_DEFINED = 3, 4  # types of tokens, as llama.cpp numbers them: matched whole, wherever they stand in a text
DIGITS_ALONE = {"gpt-2": False, "smollm": True}  # name of a split → whether digits are split before GPT-2's pattern


class _Said(msgspec.Struct, kw_only=True, frozen=True):
    """What a file says of its tokenizer."""

    tokens: list[str] = field(name="tokenizer.ggml.tokens")
    types: list[int] = field(name="tokenizer.ggml.token_type")
    merges: list[str] = field(name="tokenizer.ggml.merges")
    split: str = field(name="tokenizer.ggml.pre", default="gpt-2")
    adds_first: bool = field(name="tokenizer.ggml.add_bos_token", default=False)
    adds_last: bool = field(name="tokenizer.ggml.add_eos_token", default=False)


def read(file: GgufFile) -> Tokenizer:
    """The tokenizer in `file`, padding and truncation off.

    What it encodes it decodes to the same text, but for bytes that it has no token for: those are lost.

    Raises:
        MillisError: no byte-level BPE, one whose split of texts is not known here, or one that contradicts itself.
    """
    if (model := file.values.get("tokenizer.ggml.model")) != MODEL:
        raise MillisError(
            f"{file.path} has a tokenizer of the kind {model!r}, expected {MODEL!r}, which is byte-level BPE. Choose "
            "another file, or load the model in transformers' form with model=hub"
        )
    said = file.read(_Said)
    if said.split not in DIGITS_ALONE:
        raise MillisError(
            f"{file.path} has a tokenizer that splits texts as {said.split!r}, expected one of "
            f"{', '.join(DIGITS_ALONE)}{nearest(said.split, DIGITS_ALONE)}. Load the model in transformers' form with "
            "model=hub"
        )
    with without_panics(f"the tokenizer of {file.path}"):
        tokenizer = Tokenizer(_bpe(file, said))
        bytes_ = pre_tokenizers.ByteLevel(add_prefix_space=False)
        alone = [pre_tokenizers.Digits(individual_digits=True)] if DIGITS_ALONE[said.split] else []
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*alone, bytes_])
        tokenizer.decoder = decoders.ByteLevel()
        _add_whole(tokenizer, said)
        _add_around(tokenizer, file, said)
    return tokenizer


def template(file: GgufFile) -> str | None:
    """Of a conversation; None where the file has none."""
    said = file.values.get("tokenizer.chat_template")
    return said if isinstance(said, str) else None


def bounds(file: GgufFile, tokenizer: Tokenizer) -> tuple[str | None, str | None]:
    """The tokens that texts begin with, where they do, and that an answer ends with."""
    adds = file.values.get("tokenizer.ggml.add_bos_token", False)
    ids = (file.token(role, tokenizer.get_vocab_size()) for role in ("bos", "eos"))
    begin, end = (None if one is None else tokenizer.id_to_token(one) for one in ids)
    return begin if adds else None, end


def _bpe(file: GgufFile, said: _Said) -> models.BPE:
    ids = {token: index for index, token in enumerate(said.tokens)}
    if len(ids) < len(said.tokens) or len(said.types) != len(said.tokens):
        raise MillisError(
            f"{file.path} has {len(said.tokens)} tokens, {len(ids)} of them different, and the types of "
            f"{len(said.types)}: expected as many of each. {AGAIN}"
        )
    merges = []
    for merge in said.merges:
        first, _, second = merge.partition(" ")
        merges.append((first, second))
    try:
        return models.BPE(ids, merges)
    except Exception as error:  # tokenizers raises bare ones
        raise MillisError(f"{file.path} has merges that do not fit its tokens: {error}. {AGAIN}") from error


def _add_whole(tokenizer: Tokenizer, said: _Said) -> None:
    """Have the tokens matched whole that the file marks so, such as <|im_end|>; they keep their ids."""
    for kind, add in ((CONTROL, tokenizer.add_special_tokens), (USER_DEFINED, tokenizer.add_tokens)):
        marked = (token for token, type_ in zip(said.tokens, said.types, strict=True) if type_ == kind)
        add([AddedToken(token, normalized=False, special=kind == CONTROL) for token in marked])


def _add_around(tokenizer: Tokenizer, file: GgufFile, said: _Said) -> None:
    """Put the first and the last token around texts where the file says so."""
    first = file.token("bos", len(said.tokens)) if said.adds_first else None
    last = file.token("eos", len(said.tokens)) if said.adds_last else None
    before, after = ([] if token is None else [said.tokens[token]] for token in (first, last))
    if before or after:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=[*before, "$A", *after],
            pair=[*before, "$A", "$B", *after],
            special_tokens=[(said.tokens[token], token) for token in (first, last) if token is not None],
        )
