"""ONNX Runtime writes with an encoder-decoder: a graph that is run once a text, and one that is run once a token.

What the first gives, keys and values of the source in each layer of the decoder, is bound to the second as it lies
(`millis.backends.onnx.stacks`); the second keeps its own as every decoder's (`millis.backends.onnx.decoder`).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from millis.backends.onnx.decoder import IDS, OnnxContinuation, OnnxDecoder
from millis.backends.prompt import source_length
from millis.backends.room import check_begun, check_ids, check_rewind, check_room
from millis.errors import MillisError
from millis.types import Features, Outputs

ENCODER = "encoder.onnx"  # beside the graph that writes
STARTS = "starts"  # in the metadata of that graph: what the decoder begins with


class OnnxEncoderDecoder:
    """Two graphs, as a session and as `millis.types.Decoder`.

    Args:
        encoder: An `onnxruntime.InferenceSession` of what is run once a text.
        decoder: Of what is run once a token.
        weights: What they compute with and do not own.

    Raises:
        MillisError: the graphs are of another kind.
    """

    def __init__(self, encoder: Any, decoder: Any, weights: Any = ()) -> None:
        self.encoder, self.writer = encoder, OnnxDecoder(decoder, weights)
        said = decoder.get_modelmeta().custom_metadata_map.get(STARTS, "").split(",")
        if not all(one.isdecimal() for one in said):
            raise MillisError("the graph is not of an encoder-decoder, as its manifest says. Make the artifact again")
        self.starts = tuple(map(int, said))
        self.names = [output.name for output in encoder.get_outputs()]

    def __call__(self, features: Features) -> Outputs:
        """Logits [B, S, V], each row read by itself; 0 at what the encoder reads, and at padding.

        A row is taken apart as `millis.models.encoder_decoder.taken_apart` does.
        """
        found = np.zeros((*features.ids.shape, self.writer.vocabulary), np.float32)
        types = features.token_types
        for row, (ids, mask) in enumerate(zip(features.ids, features.mask, strict=True)):
            length = int(mask.sum())
            read = length if types is None else int((mask * (types[row] == 0)).sum())
            count = max(0, read - len(self.starts))
            if length:
                text = self._opened(ids[: max(1, count)], length)
                found[row, count:length] = text.read(ids[count:length], every=True)
        return (found,)

    def begin(self, room: int) -> "OnnxEncoderDecoderContinuation":
        """An empty continuation with room for so many tokens.

        Raises:
            MillisError: no room, or more tokens than the model has positions for.
        """
        check_begun(room, self.writer.context)
        return OnnxEncoderDecoderContinuation(self, room)

    def _opened(self, source: NDArray[np.int64], room: int) -> OnnxContinuation:
        """What writes behind a source [S]."""
        from onnxruntime import OrtValue

        given = {IDS: OrtValue.ortvalue_from_numpy(np.ascontiguousarray(source[None]))}
        crossed = self.encoder.run_with_ort_values(self.names, given)
        return OnnxContinuation(self.writer, room, dict(zip(self.names, crossed, strict=True)))


class OnnxEncoderDecoderContinuation:
    """See `millis.types.Continuation`; what is read first holds all that the encoder reads.

    Args:
        decoder: Whose.
        room: Most tokens, those that the encoder reads included.
    """

    def __init__(self, decoder: OnnxEncoderDecoder, room: int) -> None:
        self._decoder, self.room = decoder, room
        self._source = np.empty(0, np.int64)
        self._text: OnnxContinuation | None = None

    @property
    def length(self) -> int:
        """How many tokens were read."""
        return len(self._source) + (0 if self._text is None else self._text.length)

    def read(self, tokens: NDArray[np.int64], every: bool = False) -> NDArray[np.float32]:
        """Logits after each of `tokens` [K], [K, V], or after the last alone, [1, V]; 0 at what the encoder reads.

        Raises:
            MillisError: more tokens than there is room for, ids outside of the vocabulary, or a first reading without
                the tokens that the decoder begins with; the text stays as it was.
        """
        if self._text is not None:
            return self._text.read(tokens, every)
        check_room(self.length, len(tokens), self.room)
        check_ids(tokens, self._decoder.writer.vocabulary)
        whole = np.concatenate([self._source, tokens])
        count = source_length(whole, self._decoder.starts)
        text = self._decoder._opened(whole[:count], self.room - count)
        found = text.read(whole[count:], every)
        before = count - len(self._source)
        self._text, self._source = text, whole[:count]
        return np.pad(found, ((max(0, before), 0), (0, 0))) if every else found

    def rewind(self, length: int) -> None:
        """Forget all but the first `length` tokens.

        Raises:
            MillisError: there are not so many.
        """
        check_rewind(length, self.length)
        if self._text is not None and length > len(self._source):
            self._text.rewind(length - len(self._source))
        else:
            self._text, self._source = None, self._source[:length]
