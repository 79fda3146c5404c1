"""Whether a tokenizer belongs to the model that it came with, and to the texts that it is for."""

import json
import logging
from collections.abc import Sequence
from typing import Any

from tokenizers import Tokenizer

from millis.errors import MillisError
from millis.types import Text, parts_of

log = logging.getLogger(__name__)

LEAST_SHARE = 0.25  # of the rows that the tokenizer has tokens for: padded tables have some hundred more, no fourfold
SAMPLE = 1000  # texts
CHARACTERS = 1000  # of each
MOSTLY = 0.5


def check_table(name: str, wrapper: Any, rows: int) -> None:
    """Compare the ids of a tokenizer with the rows of the embedding table.

    Args:
        name: Of the model.
        wrapper: The tokenizer as transformers has it; it knows the names of its files.
        rows: Of the embedding table.

    Raises:
        MillisError: an id beyond the table, or a table of another vocabulary.
    """
    ids = wrapper.get_vocab().values()
    if (largest := max(ids, default=0)) >= rows:
        raise MillisError(
            f"the tokenizer of {name} has ids up to {largest}, the model {rows} rows: call "
            "resize_token_embeddings(len(tokenizer)) on it and save it again, or give it its own tokenizer"
        )
    if len(ids) < LEAST_SHARE * rows:
        files = " or ".join(sorted(set(wrapper.vocab_files_names.values())))
        raise MillisError(
            f"the tokenizer of {name} has {len(ids)} tokens, the model {rows} rows: it is another model's, or its "
            f"files are missing ({files}). Save it beside the model: tokenizer.save_pretrained(FOLDER)"
        )


def warn_of_unknown(name: str, tokenizer: Tokenizer, texts: Sequence[Text]) -> None:
    """Warn where most tokens of `texts` are the one that stands for whatever the tokenizer does not know."""
    unknown = _unknown(tokenizer)
    if unknown is None:
        return
    first = [part[:CHARACTERS] for text in texts[:SAMPLE] for part in parts_of(text)]
    ids = [token for encoding in tokenizer.encode_batch_fast(first, add_special_tokens=False) for token in encoding.ids]
    share = ids.count(unknown) / max(len(ids), 1)
    if share > MOSTLY:
        log.warning(
            "%.0f %% of the tokens of the training texts are unknown to the tokenizer of %s: it is made for another "
            "language, or is not the model's own. Choose a model for these texts, or model=scratch",
            100 * share, name,
        )  # fmt: skip


def _unknown(tokenizer: Tokenizer) -> int | None:
    """That token's id; None for a tokenizer that has none, such as one of bytes."""
    model = json.loads(tokenizer.to_str())["model"]
    found: int | None = model.get("unk_id")  # Unigram's; the others name a token
    return tokenizer.token_to_id(model["unk_token"]) if model.get("unk_token") is not None else found
