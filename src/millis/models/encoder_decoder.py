"""Family `encoder_decoder`: a text is read by an encoder, and another one written by a decoder that looks at its states
(Vaswani et al. 2017, 1706.03762). Spec: `millis.models.encoder_decoder_spec`.

A row holds both texts, as it does for decoders: what is read (token type 0), the tokens that the decoder starts with,
the last of type 0, and what is written (type 1). So targets, losses, distillation and runners are those of decoders,
and a prompt is what is read, with these tokens behind it.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel

from millis.errors import MillisError
from millis.models import heads, stacks
from millis.models.encoder import MOST_LAYERS
from millis.models.encoder_decoder_spec import EncoderDecoderSpec
from millis.models.outputs import replies


class Sides(NamedTuple):
    """Rows taken apart; S' and T are the longest of each side."""

    source: Tensor  # [B, S'], what the encoder reads
    source_mask: Tensor  # [B, S']
    written: Tensor  # [B, T], what the decoder reads
    places: Tensor  # [B, T], where in the row each stands
    written_mask: Tensor  # [B, T], truth values


class EncoderDecoder(nn.Module):
    """Encoder and decoder of transformers, and a linear head over the decoder's states.

    Args:
        spec: Of the family `encoder_decoder`.

    Raises:
        MillisError: an architecture that is not known, layers without heads, or outputs that are no text in answer to
            another.
    """

    def __init__(self, spec: EncoderDecoderSpec) -> None:
        super().__init__()
        check_outputs(spec)
        self.spec = spec
        self.encoder = _transformers(spec)  # both stacks
        parts = stacks.find(spec.kind)
        stacks.reshape(self.encoder, spec, heads.STD)
        self.scale = parts.output_scale(spec.config)
        width = self.encoder.get_input_embeddings().embedding_dim
        self.head = heads.head(width, spec.outputs)
        (classifier,) = self.classifiers()
        heads.start(classifier)
        if spec.tied:
            classifier.weight = self.encoder.get_input_embeddings().weight
        if spec.biased:
            classifier.bias = nn.Parameter(torch.zeros(classifier.out_features))

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        token_type_ids: Tensor | None = None,
        asked: Tensor | None = None,
    ) -> Tensor:
        """Logits [B, S, V] of rows [B, S]; 0 at what the encoder reads.

        Args:
            token_type_ids: 1 at what is written; None where nothing is yet.
            asked: Truth values [B, S] among the decoder's tokens: logits there alone, row after row, [M, V].
        """
        sides = taken_apart(input_ids, attention_mask, token_type_ids, len(self.spec.starts))
        states = self.encoder(
            input_ids=sides.source,
            attention_mask=sides.source_mask,
            decoder_input_ids=sides.written,
            use_cache=False,
        ).last_hidden_state
        if asked is not None:
            return self.answered(states[sides.written_mask & asked.gather(1, sides.places)])
        logits = self.answered(states)
        found = logits.new_zeros(*input_ids.shape, logits.shape[-1])
        rows, columns = sides.written_mask.nonzero(as_tuple=True)
        found[rows, sides.places[rows, columns]] = logits[rows, columns]
        return found

    def answered(self, states: Tensor) -> Tensor:
        """The decoder's states [..., D] to logits [..., V]."""
        (classifier,) = self.classifiers()
        logits: Tensor = classifier(states if self.scale == 1.0 else states * self.scale)
        return logits

    def classifiers(self) -> list[nn.Linear]:
        """The head's."""
        return heads.classifiers(self.head)


def taken_apart(ids: Tensor, mask: Tensor, types: Tensor | None, starts: int) -> Sides:
    """Rows [B, S] as encoder and decoder read them; of a row that is too short for both the encoder reads a token.

    Args:
        types: 1 at what is written; None where nothing is.
        starts: How many tokens before that are the decoder's.
    """
    lengths = mask.sum(dim=1)
    begins = (lengths if types is None else (mask * (types == 0)).sum(dim=1)) - starts
    begins = begins.clamp(min=0)  # [B]
    columns = torch.arange(ids.shape[1], device=ids.device)
    source = columns[: max(1, int(begins.max()))]
    places = begins[:, None] + columns[: max(1, int((lengths - begins).max()))]  # [B, T]
    written = places < lengths[:, None]
    places = places.clamp(max=ids.shape[1] - 1)
    return Sides(
        ids[:, : len(source)], (source < begins[:, None].clamp(min=1)).long(), ids.gather(1, places), places, written
    )


def build(spec: EncoderDecoderSpec) -> EncoderDecoder:
    """Make the module with fresh weights."""
    return EncoderDecoder(spec)


def max_length(spec: EncoderDecoderSpec) -> int:
    """Most tokens of a row, of which each side may be as long."""
    return stacks.find(spec.kind).max_length(spec.config)


def check_outputs(spec: EncoderDecoderSpec) -> None:
    """Refuse what an encoder-decoder does not answer, and layers that keep nothing.

    Raises:
        MillisError: as said.
    """
    if not replies(spec.outputs):
        names = " and ".join(output.name for output in spec.outputs)
        raise MillisError(
            f"a {spec.kind!r} model reads one text and writes another, and the task asks for {names}: expected "
            "task=translation or task=summarisation. Or choose an encoder (model=scratch) or a decoder "
            "(model=scratch_decoder)"
        )
    if 0 in (*spec.encoder.heads, *spec.decoder.heads, *spec.cross):
        raise MillisError("a layer has no heads left: expected at least one in each layer of encoder and decoder")


def _transformers(spec: EncoderDecoderSpec) -> Any:
    layers = len(spec.encoder.heads), len(spec.decoder.heads)
    if max(layers) > MOST_LAYERS:
        raise MillisError(f"the spec has {max(layers)} layers; expected at most {MOST_LAYERS}")
    values = stacks.find(spec.kind).with_layers(spec.config, *layers)
    return AutoModel.from_config(AutoConfig.for_model(**values))
