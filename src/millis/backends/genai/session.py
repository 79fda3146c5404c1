"""A model that onnxruntime-genai opened: what comes next in a text, keys and values kept.

Its own search is not used: who writes chooses the tokens. Memory for keys and values is taken for all tokens there is
room for when a text is begun.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from millis.backends.room import check_begun, check_ids, check_rewind, check_room
from millis.backends.scratch import blame_machine
from millis.errors import MillisError
from millis.types import Features, Outputs

CONFIG = "genai_config.json"
LOGITS = "logits"


class GenaiDecoder:
    """See `millis.types.Decoder`. Each text has its own memory, so texts may be written from several threads.

    Args:
        model: onnxruntime-genai's.
        longest: Most tokens of a text.
        width: V.
    """

    def __init__(self, model: Any, longest: int, width: int) -> None:
        self.model, self.longest, self.width = model, longest, width

    def __call__(self, features: Features) -> Outputs:
        """Logits [B, S, V], each row read by itself; those of padding are 0."""
        found = np.zeros((*features.ids.shape, self.width), np.float32)
        for logits, ids, mask in zip(found, features.ids, features.mask, strict=True):
            if count := int(mask.sum()):
                logits[:count] = self.begin(count).read(ids[:count], every=True)
        return (found,)

    def begin(self, room: int) -> "GenaiContinuation":
        """An empty text.

        Raises:
            MillisError: no room, or more than the model has positions for.
        """
        check_begun(room, self.longest)
        return GenaiContinuation(self, room)


class GenaiContinuation:
    """See `millis.types.Continuation`: one text of a `GenaiDecoder`, for one caller at a time.

    Args:
        decoder: Whose text it is.
        room: For so many tokens.
    """

    def __init__(self, decoder: GenaiDecoder, room: int) -> None:
        genai = runtime()
        with _told(f"begin a text with room for {room} tokens"):
            options = genai.GeneratorParams(decoder.model)
            options.set_search_options(max_length=room)
            self._generator = genai.Generator(decoder.model, options)
        self._room, self._width, self._length = room, decoder.width, 0

    @property
    def length(self) -> int:
        """How many tokens were read."""
        return self._length

    def read(self, tokens: NDArray[np.int64], every: bool = False) -> NDArray[np.float32]:
        """Append tokens [K] and say what comes next, after each of them [K, V] or after the last [1, V].

        Raises:
            MillisError: more tokens than there is room for, none, or ids outside of the vocabulary; the text stays as
                it was.
        """
        check_room(self._length, len(tokens), self._room)
        check_ids(tokens, self._width)
        with _told(f"read {len(tokens)} tokens after {self._length}"):
            self._generator.append_tokens(tokens.astype(np.int32))
        self._length += len(tokens)
        found: NDArray[np.float32] = self._generator.get_output(LOGITS) if every else self._generator.get_logits()
        return found.reshape(-1, self._width)

    def rewind(self, length: int) -> None:
        """Forget all but the first `length` tokens.

        Raises:
            MillisError: there are not so many.
        """
        check_rewind(length, self._length)
        if length < self._length:
            self._generator.rewind_to(length)
            self._length = length


@contextmanager
def _told(what: str) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:  # of a graph that is not what its config says, or of memory
        reason = (str(error).strip() or type(error).__name__).splitlines()[-1].rstrip(".")
        raise MillisError(
            f"onnxruntime-genai cannot {what}: {reason}. Begin with less room, or make the artifact again"
        ) from error


def runtime() -> Any:
    """onnxruntime-genai.

    Raises:
        MillisError: it is not installed.
    """
    try:
        import onnxruntime_genai
    except ImportError as error:
        raise MillisError("backend=onnxruntime_genai needs onnxruntime-genai: pip install 'millis[genai]'") from error
    return onnxruntime_genai


def open_decoder(folder: Path, expected: dict[str, Any], threads: int) -> GenaiDecoder:
    """The model in `folder` on `threads` threads.

    Args:
        expected: What its `genai_config.json` must say (`millis.backends.genai.sizes.runtime_config`).

    Raises:
        MillisError: onnxruntime-genai is not installed, another config, or files that are damaged.
    """
    genai, path = runtime(), folder / CONFIG
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise MillisError(f"{path} cannot be read: {error}. Make the artifact again") from error
    if said != expected:
        raise MillisError(f"{path} is not what the manifest's architecture asks for. Make the artifact again")
    options = {"intra_op_num_threads": threads, "inter_op_num_threads": 1}
    try:
        config = genai.Config(str(folder))
        config.overlay(json.dumps({"model": {"decoder": {"session_options": options}}}))
        model = genai.Model(config)
    except Exception as error:  # it raises bare ones
        blame_machine(error, sum(one.stat().st_size for one in folder.iterdir()))
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        raise MillisError(f"onnxruntime-genai cannot open {folder}: {reason}. Make the artifact again") from error
    sizes = expected["model"]
    return GenaiDecoder(model, sizes["context_length"], sizes["vocab_size"])
