"""A model that CTranslate2 opened: it searches by itself, and says logits of texts that are given.

`search` is how it writes. A continuation is there for whoever needs logits: each reading decodes the text anew from its
beginning, for the engine keeps no keys and values between two calls.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from millis.backends.prompt import source_length
from millis.backends.room import check_begun, check_ids, check_rewind, check_room
from millis.backends.scratch import blame_machine
from millis.errors import MillisError
from millis.types import Features, Outputs, Search

LONGEST = 10_000  # tokens of a text: the engine has room for what comes, and the runner says how much that is
WHOLE: dict[str, Any] = {"max_input_length": 0}  # texts are cut by who reads them


class Ct2Decoder:
    """See `millis.types.Searching`. Callers may be several threads: the engine queues what they ask.

    Args:
        translator: CTranslate2's.
        starts: What the decoder begins with.
        ends: Tokens of which the first ends a text.
        width: V.
        longest: Most tokens of a text.
    """

    def __init__(
        self, translator: Any, starts: tuple[int, ...], ends: tuple[int, ...], width: int, longest: int
    ) -> None:
        self.translator, self.starts, self.ends = translator, starts, ends
        self.width, self.longest = width, longest

    def __call__(self, features: Features) -> Outputs:
        """Logits [B, S, V], each row read by itself; 0 at what the encoder reads, and at padding."""
        found = np.zeros((*features.ids.shape, self.width), np.float32)
        for row, (ids, mask) in enumerate(zip(features.ids, features.mask, strict=True)):
            length = int(mask.sum())
            types = None if features.token_types is None else features.token_types[row]
            read = length if types is None else int((mask * (types == 0)).sum())
            count = max(0, read - len(self.starts))
            if length:
                found[row, count:length] = self.logits(ids[: max(1, count)], ids[count:length])
        return (found,)

    def begin(self, room: int) -> "Ct2Continuation":
        """An empty text.

        Raises:
            MillisError: no room, or more than the model has positions for.
        """
        check_begun(room, self.longest)
        return Ct2Continuation(self, room)

    def search(self, prompt: NDArray[np.int64], search: Search) -> Iterator[int]:
        """The tokens behind a prompt [S], its end not among them; with one beam each as soon as it is chosen.

        Raises:
            MillisError: a prompt without the tokens that the decoder begins with, or ids outside of the vocabulary.
        """
        check_ids(prompt, self.width)
        count = source_length(prompt, self.starts)
        source, before = _named(prompt[:count]), _named(prompt[count + 1 :])
        lengths = {"max_decoding_length": len(before) + search.most, "min_decoding_length": len(before) + search.least}
        if search.width > 1:
            (found,) = self.translator.translate_batch(
                [source], [before], beam_size=search.width, length_penalty=search.length_penalty, **lengths, **WHOLE
            )
            yield from map(int, found.hypotheses[0][len(before) :])
            return
        steps = self.translator.generate_tokens(source, before, **lengths, **WHOLE)
        for place, step in enumerate(steps):
            if place >= len(before):
                if step.token_id in self.ends:
                    return
                yield int(step.token_id)

    def logits(self, source: NDArray[np.int64], written: NDArray[np.int64]) -> NDArray[np.float32]:
        """After each of `written` [K], of which the first begins the decoder, [K, V]."""
        if written[0] != self.starts[0]:
            raise MillisError(
                f"a text begins with token {written[0]}, and the decoder with {self.starts[0]}: expected that"
            )
        before = _named(written[1:])
        (found,) = self.translator.translate_batch(
            [_named(source)], [before], beam_size=1, max_decoding_length=len(before) + 1, min_decoding_length=0,
            return_scores=True, return_logits_vocab=True, **WHOLE,
        )  # fmt: skip
        return np.stack([np.array(row, np.float32).reshape(-1) for row in found.logits[0]])


class Ct2Continuation:
    """See `millis.types.Continuation`; what is read first holds all that the encoder reads.

    Args:
        decoder: Whose.
        room: Most tokens, those that the encoder reads included.
    """

    def __init__(self, decoder: Ct2Decoder, room: int) -> None:
        self._decoder, self.room = decoder, room
        self._tokens = np.empty(0, np.int64)

    @property
    def length(self) -> int:
        """How many tokens were read."""
        return len(self._tokens)

    def read(self, tokens: NDArray[np.int64], every: bool = False) -> NDArray[np.float32]:
        """Logits after each of `tokens` [K], [K, V], or after the last alone, [1, V]; 0 at what the encoder reads.

        Raises:
            MillisError: more tokens than there is room for, none, ids outside of the vocabulary, or a first reading
                without the tokens that the decoder begins with; the text stays as it was.
        """
        check_room(self.length, len(tokens), self.room)
        check_ids(tokens, self._decoder.width)
        whole = np.concatenate([self._tokens, tokens])
        count = source_length(whole, self._decoder.starts)
        found = np.zeros((len(whole), self._decoder.width), np.float32)
        found[count:] = self._decoder.logits(whole[:count], whole[count:])
        self._tokens = whole
        return found[-len(tokens) :] if every else found[-1:]

    def rewind(self, length: int) -> None:
        """Forget all but the first `length` tokens.

        Raises:
            MillisError: there are not so many.
        """
        check_rewind(length, self.length)
        self._tokens = self._tokens[:length]


def open_decoder(folder: Path, spec: Any, kind: str, threads: int) -> Ct2Decoder:
    """The model in `folder`.

    Args:
        spec: Its architecture.
        kind: `float32` or `int8`.
        threads: For one request's arithmetic.

    Raises:
        MillisError: as `load`.
    """
    try:
        from ctranslate2 import Translator
    except ImportError as error:
        raise MillisError("backend=ctranslate2 needs ctranslate2: pip install 'millis[ctranslate2]'") from error
    try:
        translator = Translator(str(folder), device="cpu", compute_type=kind, inter_threads=1, intra_threads=threads)
    except (RuntimeError, ValueError) as error:
        blame_machine(error, 0)
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        raise MillisError(f"CTranslate2 cannot open {folder}: {reason}. Make the artifact again") from error
    (output,) = spec.outputs
    return Ct2Decoder(translator, spec.starts, spec.ends, output.width, LONGEST)


def _named(tokens: NDArray[np.int64]) -> list[str]:
    """Tokens as the engine calls them."""
    return list(map(str, tokens.tolist()))
