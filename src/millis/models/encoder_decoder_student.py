"""Students of the family `encoder_decoder`: fewer layers on either side, fewer heads and neurons, or the same sizes.

A deep encoder with a shallow decoder loses little and writes much faster, for the decoder's layers are taken once a
token (Kasai et al. 2021, 2006.10369). Layers, heads and neurons are chosen as of other transformers
(`millis.models.student`); heads with which a decoder looks at the encoder are chosen by themselves. Where positions are
told by a bias for each head that all layers share, as T5 has them, all layers keep the same heads: those that are the
most important in all of them together.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from millis.errors import MillisError
from millis.models import anatomy, stacks
from millis.models.encoder_decoder import EncoderDecoder
from millis.models.encoder_decoder_spec import EncoderDecoderSpec
from millis.models.outputs import replies
from millis.models.parts import Cross
from millis.models.selection import copy_layer
from millis.models.sizes import Size, check_size, count
from millis.models.spec import Shape, Spec
from millis.models.stacks import Stack
from millis.models.student import (
    at_most,
    check_init,
    chosen_layers,
    gathered_and_written,
    head_importance,
    largest,
    neuron_importance,
)
from millis.types import Output


@dataclass(frozen=True)
class EncoderDecoderStudent:
    """The teacher's architecture at smaller sizes, which are as of `millis.models.student.TransformerStudent`.

    Args:
        layers: Of the encoder: how many, or which ones, counted from 0.
        decoder_layers: Of the decoder.
        heads: Attention heads in each layer, and in each decoder layer as many that look at the encoder.
        ffn_size: Feed-forward neurons in each layer.
        init: "teacher" copies the kept parts; "fresh" keeps random weights and may also be larger than the teacher.

    Raises:
        MillisError: a size that is neither a count nor a share, or an unknown `init`.
    """

    trains: ClassVar[bool] = True
    fits: ClassVar[bool] = False
    cuts: ClassVar[str] = EncoderDecoderSpec.family

    layers: Size | Sequence[int] = None
    decoder_layers: Size | Sequence[int] = None
    heads: Size = None
    ffn_size: Size = None
    init: str = "teacher"

    def __post_init__(self) -> None:
        check_init(self.init)
        for name in ("layers", "decoder_layers", "heads", "ffn_size"):
            asked = getattr(self, name)
            check_size(f"student.{name}", len(asked) if isinstance(asked, Sequence) else asked)

    @staticmethod
    def check_outputs(outputs: Sequence[Output]) -> None:
        """Refuse outputs that are no text in answer to another.

        Raises:
            MillisError: as said.
        """
        if not replies(outputs):
            raise MillisError(
                "student=encoder_decoder reads one text and writes another: expected task=translation or "
                "task=summarisation. Choose student=transformer"
            )

    def spec(self, teacher_spec: Spec) -> EncoderDecoderSpec:
        """The student's architecture.

        Raises:
            MillisError: a teacher of another family, a layer that it does not have, or a part larger than its own.
        """
        if not isinstance(teacher_spec, EncoderDecoderSpec):
            raise MillisError(
                f"student=encoder_decoder is cut from an encoder-decoder, and the teacher is a {teacher_spec.kind!r} "
                "model: choose student=transformer, or a teacher such as model=scratch_seq2seq"
            )
        encoder, decoder = self._layers(teacher_spec)
        cross = tuple(count(self.heads, teacher_spec.cross[index]) for index in decoder)
        if self.init == "teacher":
            for index, heads in zip(decoder, cross, strict=True):
                at_most("heads", heads, teacher_spec.cross[index])
        return replace(
            teacher_spec,
            encoder=self._smaller(teacher_spec.encoder, encoder),
            decoder=self._smaller(teacher_spec.decoder, decoder),
            cross=cross,
        )

    @torch.no_grad()
    def initialise(self, model: EncoderDecoder, teacher: EncoderDecoder) -> None:
        """Weights before training: the kept parts of `teacher`, or nothing where `init` is "fresh"."""
        if self.init == "fresh":
            return
        parts = stacks.find(teacher.spec.kind)
        ours, theirs = parts.find(model.encoder), parts.find(teacher.encoder)
        _copy_around(model, teacher, [*ours, *theirs])
        shapes = (model.spec.encoder, model.spec.decoder)
        for small, large, shape, layers in zip(ours, theirs, shapes, self._layers(teacher.spec), strict=True):
            _copy_stack(small, large, shape, layers)
        for index, layer, heads in zip(self._layers(teacher.spec)[1], ours[1].layers, model.spec.cross, strict=True):
            _copy_cross(layer.cross, theirs[1].layers[index].cross, heads, model.spec.decoder.head_size)

    def describe(self, spec: EncoderDecoderSpec) -> str:
        """`encoder-decoder 4+1x256`: layers of both sides x hidden; ` h2 f344` follow where they are not the usual."""
        hidden = int(spec.config["d_model"])
        name = f"encoder-decoder {len(spec.encoder.heads)}+{len(spec.decoder.heads)}x{hidden}"
        whole, _ = stacks.find(spec.kind).shapes(spec.config)
        heads, ffn = ({*getattr(spec.encoder, part), *getattr(spec.decoder, part)} for part in ("heads", "ffn"))
        name += "" if heads == {*whole.heads} else f" h{'-'.join(map(str, sorted(heads)))}"
        return name + ("" if ffn == {*whole.ffn} else f" f{'-'.join(map(str, sorted(ffn)))}")

    def _layers(self, teacher_spec: EncoderDecoderSpec) -> tuple[list[int], list[int]]:
        """Layers of the teacher's encoder and decoder, for each of the student's."""
        return (
            chosen_layers("layers", self.layers, len(teacher_spec.encoder.heads), self.init),
            chosen_layers("decoder_layers", self.decoder_layers, len(teacher_spec.decoder.heads), self.init),
        )

    def _smaller(self, shape: Shape, layers: Sequence[int]) -> Shape:
        heads = tuple(count(self.heads, shape.heads[index]) for index in layers)
        ffn = tuple(count(self.ffn_size, shape.ffn[index]) for index in layers)
        if self.init == "teacher":
            for index, attending, neurons in zip(layers, heads, ffn, strict=True):
                at_most("heads", attending, shape.heads[index])
                at_most("ffn_size", neurons, shape.ffn[index])
        return Shape(shape.head_size, heads, ffn)


def _copy_around(small: EncoderDecoder, large: EncoderDecoder, parts: Sequence[Stack]) -> None:
    """Copy every weight that stands in no block: tables, norms, the head."""
    inside = {id(weight) for stack in parts for block in stack.blocks for weight in block.parameters()}
    theirs = dict(large.named_parameters())
    for name, weight in small.named_parameters():
        if id(weight) not in inside:
            weight.copy_(theirs[name])


def _copy_stack(small: Stack, large: Stack, shape: Shape, layers: Sequence[int]) -> None:
    importance = [head_importance(large.layers[index], shape.head_size) for index in layers]
    if large.distances is not None:
        importance = [torch.stack(importance).sum(dim=0)] * len(layers)
    hidden = torch.arange(large.layers[0].query.in_features)
    for target, index, scores, heads, ffn in zip(small.layers, layers, importance, shape.heads, shape.ffn, strict=True):
        kept, source = largest(scores, heads), large.layers[index]
        rows = anatomy.head_rows(kept, shape.head_size)
        copy_layer(target, source, rows, rows, largest(neuron_importance(source), ffn), hidden)
        if small.distances is not None and large.distances is not None:
            small.distances.weight.copy_(large.distances.weight[:, kept])


def _copy_cross(target: Cross | None, source: Cross | None, heads: int, head_size: int) -> None:
    assert target is not None and source is not None, "a decoder's layers look at the encoder"
    kept: Tensor = largest(gathered_and_written(source.value, source.output, head_size), heads)
    rows, hidden = anatomy.head_rows(kept, head_size), torch.arange(source.query.in_features)
    pairs: list[tuple[nn.Linear, nn.Linear]] = [
        (target.query, source.query), (target.key, source.key), (target.value, source.value)
    ]  # fmt: skip
    for ours, theirs in pairs:
        anatomy.copy_linear(ours, theirs, rows, hidden)
    anatomy.copy_linear(target.output, source.output, hidden, rows)
    anatomy.copy_norm(target.norm, source.norm, hidden)
