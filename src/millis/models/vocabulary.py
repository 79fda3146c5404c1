"""A vocabulary without the pieces that a task's texts never use, and a model without their rows.

Half of MiniLM's weights are rows of a table for 30,522 pieces; a task reads a few thousand. Kept are special tokens,
characters, and every piece that occurs in the training texts. A text whose pieces are all kept gets the same pieces
and, row for row, the same logits; another is read in smaller pieces (`millis.models.pieces` says why). Ids are given
anew, in their old order.

Abdaoui et al. 2020 (2010.05609) cut multilingual models so, keeping the pieces of a language; here those of a task.
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor

from millis import models
from millis.errors import MillisError
from millis.models.pieces import kind_of
from millis.models.spec import Spec
from millis.types import Text

CHUNK = 10_000  # texts encoded at a time: their encodings take some kilobytes each


def trim(tokenizer: Tokenizer, texts: Sequence[Text], min_count: int = 1, common: float = 0.0) -> Tokenizer:
    """A tokenizer with the pieces that `texts` need alone.

    Args:
        tokenizer: WordPiece, Unigram or BPE; left as it is.
        texts: Of the training split.
        min_count: Least number of occurrences, at least 1; rarer pieces come apart into smaller ones.
        common: Share of the vocabulary, in [0, 1], that is kept for being common in general: its first ids. All three
            kinds number their pieces by how frequent they were in what they were learned from.

    Raises:
        MillisError: another kind of tokenizer.
    """
    state = json.loads(tokenizer.to_str())
    kind = kind_of(state["model"])
    counts, vocabulary = _occurrences(tokenizer, texts), tokenizer.get_vocab()
    first = common * len(vocabulary)
    used = {piece for piece, token in vocabulary.items() if counts[token] >= min_count or token < first}
    kept = kind.closed(state["model"], used) | {entry["content"] for entry in state["added_tokens"]}
    ids = {piece: new for new, piece in enumerate(sorted(kept, key=lambda piece: vocabulary[piece]))}
    state["model"] = kind.reduced(state["model"], ids)
    state["added_tokens"] = [{**entry, "id": ids[entry["content"]]} for entry in state["added_tokens"]]
    state["post_processor"] = _renumbered(state["post_processor"], ids)
    state["padding"] = state["truncation"] = None
    trimmed = Tokenizer.from_str(json.dumps(state))
    if trimmed.get_vocab() != ids:
        raise MillisError(
            "this tokenizer numbers its added tokens in the midst of its pieces, which factorization=vocabulary cannot "
            "renumber. Choose factorization=none"
        )
    return trimmed


def kept_ids(before: Tokenizer, after: Tokenizer) -> Tensor:
    """Id under `before` of each id of `after`, [V'], ascending: `kept[ids]` reads a student's tokens to its teacher."""
    pieces = sorted(after.get_vocab().items(), key=lambda item: item[1])
    return torch.tensor([before.token_to_id(piece) for piece, _ in pieces])


def trimmed_spec(spec: Spec, kept: Tensor) -> Spec:
    """The architecture with V' = `len(kept)` rows in its word table, and its special tokens' new ids.

    Args:
        spec: Of any family with a vocabulary.
        kept: As `kept_ids`.
    """
    return spec.trimmed({old: new for new, old in enumerate(kept.tolist())})


def trim_model(model: Any, kept: Tensor) -> Any:
    """A model of `trimmed_spec(model.spec, kept)`: the kept rows of every table over the vocabulary, the rest as it is.

    Args:
        model: Of any family with a vocabulary; left as it is.
        kept: As `kept_ids`.
    """
    small = models.build(trimmed_spec(model.spec, kept))
    whole = model.state_dict()
    fitting = {
        name: whole[name] if whole[name].shape == value.shape else whole[name][kept]
        for name, value in small.state_dict().items()
    }
    small.load_state_dict(fitting)
    return small.train(model.training)


def _occurrences(tokenizer: Tokenizer, texts: Sequence[Text]) -> Counter[int]:
    """How often each id occurs."""
    plain = Tokenizer.from_str(tokenizer.to_str())  # the caller's keeps its own settings
    plain.no_truncation()
    plain.no_padding()
    counts: Counter[int] = Counter()
    for chunk in _chunks(texts):
        for encoding in plain.encode_batch_fast(chunk):
            counts.update(encoding.ids)
    return counts


def _chunks(texts: Sequence[Text]) -> Iterator[list[Text]]:
    for start in range(0, len(texts), CHUNK):
        yield list(texts[start : start + CHUNK])


def _renumbered(processor: Any, ids: dict[str, int]) -> Any:
    """A post-processor with the new ids of the special tokens that it names, wherever it names them.

    Templates have {"tokens": [...], "ids": [...]}, BERT's and RoBERTa's own processors ["[CLS]", 101].
    """
    if isinstance(processor, dict):
        found = {name: _renumbered(value, ids) for name, value in processor.items()}
        return (
            {**found, "ids": [ids[token] for token in found["tokens"]]} if {"ids", "tokens"} <= found.keys() else found
        )
    if isinstance(processor, list):
        named = len(processor) == 2 and isinstance(processor[0], str) and isinstance(processor[1], int)
        return [processor[0], ids[processor[0]]] if named else [_renumbered(value, ids) for value in processor]
    return processor
