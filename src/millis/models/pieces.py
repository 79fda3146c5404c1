"""Which pieces of a tokenizer can go so that texts made of the others are read exactly as before.

Each kind of tokenizer (`model.type` in tokenizer.json) has one class here. The argument in each: what is removed was a
candidate that lost, and a loser's absence changes no decision.

    WordPiece    longest match first: the longest kept match is the longest match, as long as it was kept.
    Unigram      the best segmentation stays the best of fewer. What an unknown character costs follows from the lowest
                 score, so the piece that has it is kept.
    BPE          merges by priority: a piece is reached by its own merges alone, so those, and the pieces on the way,
                 are kept with it; the merge of highest priority is then always among the kept ones.

Characters are always kept, and bytes where the tokenizer falls back on them, so that other texts still come apart into
what is left.
"""

import re
from collections.abc import Iterable
from typing import Any, Protocol, TypeAlias

from millis.errors import MillisError

Model: TypeAlias = dict[str, Any]
"""The `model` of a tokenizer.json."""

BYTE = re.compile(r"<0x[0-9A-F]{2}>")


class Pieces(Protocol):
    """One kind of tokenizer."""

    def closed(self, model: Model, used: Iterable[str]) -> set[str]:
        """`used` and all that must stay with them, characters among it."""
        ...

    def reduced(self, model: Model, ids: dict[str, int]) -> Model:
        """The model with the pieces that are keys of `ids` alone, under these ids."""
        ...


class WordPiece:
    """BERT's (Schuster and Nakajima 2012)."""

    def closed(self, model: Model, used: Iterable[str]) -> set[str]:
        prefix = model["continuing_subword_prefix"]
        characters = {piece for piece in model["vocab"] if len(piece.removeprefix(prefix)) == 1}
        return {*used, *characters, model["unk_token"]} & set(model["vocab"])

    def reduced(self, model: Model, ids: dict[str, int]) -> Model:
        return {**model, "vocab": {piece: ids[piece] for piece in model["vocab"] if piece in ids}}


class Unigram:
    """SentencePiece's (Kudo 2018, 1804.10959): XLM-R, ALBERT."""

    def closed(self, model: Model, used: Iterable[str]) -> set[str]:
        scores = dict(model["vocab"])
        unknown = [] if model["unk_id"] is None else [model["vocab"][model["unk_id"]][0]]
        cheap = min(scores, key=lambda piece: scores[piece])
        characters = {piece for piece in scores if len(piece) == 1 or BYTE.fullmatch(piece)}
        return {*used, *characters, *unknown, cheap} & set(scores)

    def reduced(self, model: Model, ids: dict[str, int]) -> Model:
        kept = sorted((entry for entry in model["vocab"] if entry[0] in ids), key=lambda entry: ids[entry[0]])
        unknown = None if model["unk_id"] is None else ids[model["vocab"][model["unk_id"]][0]]
        return {**model, "vocab": kept, "unk_id": unknown}


class Bpe:
    """Byte-pair encoding (Sennrich et al. 2016, 1508.07909), over bytes in GPT-2's and RoBERTa's way."""

    def closed(self, model: Model, used: Iterable[str]) -> set[str]:
        if model["continuing_subword_prefix"] or model["end_of_word_suffix"]:
            raise MillisError(
                "this BPE tokenizer marks pieces inside or at the end of words, which factorization=vocabulary does "
                "not follow. It takes WordPiece, Unigram, and BPE over bytes or characters"
            )
        rank = {pair: at for at, pair in enumerate(_pairs(model))}
        characters = {piece for piece in model["vocab"] if len(piece) == 1 or BYTE.fullmatch(piece)}
        unknown = {model["unk_token"]} - {None}
        on_the_way = {part for piece in used for part in _merged(piece, rank)}
        return {*used, *on_the_way, *characters, *unknown} & set(model["vocab"])

    def reduced(self, model: Model, ids: dict[str, int]) -> Model:
        merges = [list(pair) for pair in _pairs(model) if {*pair, "".join(pair)} <= ids.keys()]
        return {**model, "vocab": {p: ids[p] for p in model["vocab"] if p in ids}, "merges": merges}


def _pairs(model: Model) -> list[tuple[str, str]]:
    """Merges by priority; older files have each as one string with a space."""
    merges = [merge.split(" ") if isinstance(merge, str) else merge for merge in model["merges"]]
    return [(left, right) for left, right in merges]


def _merged(piece: str, rank: dict[tuple[str, str], int]) -> set[str]:
    """Everything that the merges of `piece` make on the way to it."""
    parts, made = list(piece), set(piece)
    while len(parts) > 1:
        at = min(range(len(parts) - 1), key=lambda i: rank.get((parts[i], parts[i + 1]), len(rank)))
        if (parts[at], parts[at + 1]) not in rank:
            break
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
        made.add(parts[at])
    return made


KINDS: dict[str, Pieces] = {"WordPiece": WordPiece(), "Unigram": Unigram(), "BPE": Bpe()}


def kind_of(model: Model) -> Pieces:
    """The class for a tokenizer's model.

    Raises:
        MillisError: of another kind.
    """
    kind = str(model["type"])
    if kind not in KINDS:
        raise MillisError(
            f"factorization=vocabulary cannot trim a {kind} tokenizer; it takes {', '.join(KINDS)}. Choose a model "
            "with one of these, or factorization=none"
        )
    return KINDS[kind]
