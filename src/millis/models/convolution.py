"""Family `convolution`: word vectors, parallel convolutions of several widths, maximum over time, linear head.

Kim 2014 (1408.5882), section 2. Departures: windows reach over the text's ends (zero padding, so that a text shorter
than the widest window has an answer), hence odd widths; word vectors come from the teacher.

Spec: `millis.models.convolution_spec`. An output per token reads the windows around it (Collobert et al. 2011,
1103.0398).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from millis.errors import MillisError
from millis.models import embeddings, heads, pooling
from millis.models.convolution_spec import ConvolutionSpec
from millis.models.outputs import require
from millis.models.sizes import Size, check_size, count
from millis.models.transformer_spec import TransformerSpec
from millis.types import Output

MAX_LENGTH = 512  # any length would do; the teacher, whose answers are learned, takes 512


def build(spec: ConvolutionSpec) -> "Convolution":
    """Make the module with fresh weights."""
    return Convolution(spec)


def max_length(spec: ConvolutionSpec) -> int:
    """Longest token sequence taken."""
    return MAX_LENGTH


class Convolution(nn.Module):
    """Kim's network: for each width, maximum over time of ReLU(convolution), joined, then linear.

    Args:
        spec: Of the family.
    """

    def __init__(self, spec: ConvolutionSpec) -> None:
        super().__init__()
        self.spec = spec
        self.embedding = nn.Embedding(spec.vocab_size, spec.embedding_size)
        self.windows = nn.ModuleList(
            nn.Conv1d(spec.embedding_size, spec.filters, width, padding=width // 2) for width in spec.widths
        )
        self.dropout = nn.Dropout(spec.dropout)
        self.head = heads.head(spec.filters * len(spec.widths), spec.outputs)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None) -> Any:
        """Logits of token ids [B, S]. `token_type_ids` are not read: a pair is one text with a separator."""
        # Padding's vectors are zeroed, so a window at the text's end sees what it would see at the batch's end.
        vectors = self.embedding(input_ids) * attention_mask.unsqueeze(-1).to(self.embedding.weight.dtype)
        vectors = vectors.transpose(1, 2)  # [B, E, S]
        states = torch.cat([torch.relu(window(vectors)).transpose(1, 2) for window in self.windows], dim=2)
        return heads.answers(
            self.head, states, lambda found: pooling.maximum(found, attention_mask, floor=0.0), self.dropout
        )


@dataclass(frozen=True)
class ConvolutionStudent:
    """A convolution network over the teacher's vocabulary, its word vectors initialised from the teacher's.

    Args:
        embedding_size: E, at most the teacher's; see `millis.models.sizes`.
        filters: Filters of each width.
        widths: Window widths in tokens, odd.
        dropout: Before the head.

    Raises:
        MillisError: an even width.
    """

    trains: ClassVar[bool] = True
    fits: ClassVar[bool] = False

    embedding_size: Size = 0.25
    filters: int = 128
    widths: Sequence[int] = (1, 3, 5)
    dropout: float = 0.5

    def __post_init__(self) -> None:
        check_size("student.embedding_size", self.embedding_size)
        if not self.widths or any(width % 2 == 0 or width < 1 for width in self.widths):
            raise MillisError(
                f"student.widths={list(self.widths)} must be odd and at least 1, for a window is centred on a token: "
                "use for example [1, 3, 5]"
            )

    @staticmethod
    def check_outputs(outputs: Sequence[Output]) -> None:
        """Refuse to say what comes next in a text: the windows of a convolution read it.

        Raises:
            MillisError: it is asked for.
        """
        require(outputs, ("text", "token"), "student=convolution", "Choose student=transformer")

    def spec(self, teacher_spec: TransformerSpec) -> ConvolutionSpec:
        """The student's architecture."""
        return ConvolutionSpec(
            vocab_size=embeddings.vocabulary_size(teacher_spec),
            embedding_size=count(self.embedding_size, embeddings.dimensions(teacher_spec)),
            filters=self.filters,
            widths=tuple(self.widths),
            dropout=self.dropout,
            outputs=teacher_spec.outputs,
        )

    def initialise(self, model: Any, teacher: Any) -> None:
        """Word vectors from the teacher; the rest stays fresh."""
        model.embedding.weight.data.copy_(
            embeddings.word_vectors(teacher, model.spec.embedding_size, "student.embedding_size")
        )

    def describe(self, spec: ConvolutionSpec) -> str:
        """`convolution 128x3 e128`: filters x widths, embedding size."""
        return f"convolution {spec.filters}x{len(spec.widths)} e{spec.embedding_size}"
