"""The architectures of the family `encoder_decoder`."""

from dataclasses import dataclass
from typing import Any, ClassVar

from millis.models.spec import Ids, Shape, Spec
from millis.schema import Count

SMALLER = "make it smaller by the sizes of student=encoder_decoder (layers, decoder_layers, heads, ffn_size)"


@dataclass(frozen=True, kw_only=True)
class EncoderDecoderSpec(Spec):
    """An encoder that reads a text, and a decoder that writes another one and looks at the encoder's states.

    Args:
        config: The architecture's of transformers with its `model_type`, JSON-able.
        encoder, decoder: What is left of the layers of each: heads of their self-attention, and neurons.
        cross: Heads with which each layer of the decoder looks at the encoder's states.
        affixes: The special tokens put before and after a text.
        starts: The last of them, which the decoder begins with and the encoder does not read.
        tied: Whether the matrix that says which token comes next is the table of token vectors.
        biased: Whether that matrix has a bias.
    """

    family: ClassVar[str] = "encoder_decoder"

    config: dict[str, Any]
    encoder: Shape
    decoder: Shape
    cross: tuple[Count, ...]
    affixes: tuple[Ids, Ids]
    starts: Ids
    tied: bool = True
    biased: bool = False

    @property
    def kind(self) -> str:
        return str(self.config["model_type"])

    @property
    def around(self) -> tuple[Ids, Ids]:
        return self.affixes

    @property
    def ends(self) -> tuple[int, ...]:
        said = self.config.get("eos_token_id")
        return tuple(said) if isinstance(said, list) else () if said is None else (said,)

    @property
    def rows(self) -> int | None:
        rows = self.config.get("vocab_size")
        return rows if isinstance(rows, int) else None

    @property
    def attention_width(self) -> int:
        writing = sum(self.decoder.heads) + sum(self.cross)
        return sum(self.encoder.heads) * self.encoder.head_size + writing * self.decoder.head_size
