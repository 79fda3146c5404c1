"""Family `static`: one vector and one weight a token, their weighted mean, one matrix product. The floor of latency.

Model2Vec (Tulkens and van Dongen 2024, github.com/MinishLab/model2vec): every token of the vocabulary is sent through
the teacher on its own, and the principal components of the outputs are the token's vector. Departures: the token
weights are learned here, where Model2Vec computes them after SIF (Arora et al. 2017); and the head is the teacher's,
carried through the projection:

    logits = W pooled + b,  pooled ≈ axes v + mean   →   head weight = W axes,  head bias = W mean + b

so before any training the student is the teacher's opinion of each token, averaged.

Spec: `millis.models.static_spec`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from millis.errors import MillisError, nearest
from millis.models import embeddings, heads
from millis.models.outputs import require
from millis.models.sizes import Size, check_size, count
from millis.models.static_spec import StaticSpec
from millis.models.transformer_spec import TransformerSpec
from millis.types import Output

MAX_LENGTH = 512  # any length would do; the teacher, whose answers are learned, takes 512
SOURCES = ("encoder", "embeddings")
OTHERS = "Choose student=transformer, bilstm or convolution"


def build(spec: StaticSpec) -> "Static":
    """Make the module with fresh weights."""
    return Static(spec)


def max_length(spec: StaticSpec) -> int:
    """Longest token sequence taken."""
    return MAX_LENGTH


class Static(nn.Module):
    """logits = head(sum_s w_s v_s / sum_s w_s) with w = exp(log weight) of each token, v its vector.

    Args:
        spec: Of the family.
    """

    def __init__(self, spec: StaticSpec) -> None:
        super().__init__()
        self.spec = spec
        self.vectors = nn.Embedding(spec.vocab_size, spec.size)
        self.log_weights = nn.Embedding(spec.vocab_size, 1)
        nn.init.zeros_(self.log_weights.weight)  # every token counts the same
        self.dropout = nn.Dropout(spec.dropout)
        self.head = heads.head(spec.size, spec.outputs)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None) -> Tensor:
        """Logits [B, C] of token ids [B, S]. `token_type_ids` are not read: a pair is one bag of tokens."""
        weights = self.log_weights(input_ids).squeeze(-1).exp() * attention_mask.to(self.vectors.weight.dtype)
        total = torch.matmul(weights.unsqueeze(1), self.vectors(input_ids)).squeeze(1)  # [B, D]
        # The floor only serves a text without tokens.
        pooled = total / self._norm(weights).clamp(min=1e-6)
        logits: Tensor = self.head(self.dropout(pooled))
        return logits

    def _norm(self, weights: Tensor) -> Tensor:
        """What the sum is divided by, [B, 1]."""
        if self.spec.norm == "l2":
            return (weights * weights).sum(dim=1, keepdim=True).sqrt()
        return weights.sum(dim=1, keepdim=True)


@dataclass(frozen=True)
class StaticStudent:
    """Pooled token vectors distilled from the teacher.

    Args:
        size: D, at most the teacher's; see `millis.models.sizes`.
        source: "encoder" sends each token of the vocabulary through the teacher; "embeddings" takes its word
            embeddings alone and a fresh head, for vocabularies of hundreds of thousands.
        dropout: Before the head.

    Raises:
        MillisError: an unknown `source`.
    """

    trains: ClassVar[bool] = True
    fits: ClassVar[bool] = False

    size: Size = 0.5
    source: str = "embeddings"
    dropout: float = 0.1

    def __post_init__(self) -> None:
        check_size("student.size", self.size)
        if self.source not in SOURCES:
            raise MillisError(
                f"student.source={self.source!r} is unknown; expected one of {', '.join(SOURCES)}"
                f"{nearest(str(self.source), SOURCES)}"
            )

    @staticmethod
    def check_outputs(outputs: Sequence[Output]) -> None:
        """Refuse outputs that averaged vectors cannot give.

        Raises:
            MillisError: one that answers each token, or several.
        """
        require(outputs, ("text",), "student=static", OTHERS)
        assert len(outputs) == 1, "no task asks two things of a text as a whole"

    def spec(self, teacher_spec: TransformerSpec) -> StaticSpec:
        """The student's architecture.

        Raises:
            MillisError: as `check_outputs`.
        """
        self.check_outputs(teacher_spec.outputs)
        return StaticSpec(
            vocab_size=embeddings.vocabulary_size(teacher_spec),
            size=count(self.size, embeddings.dimensions(teacher_spec)),
            dropout=self.dropout,
            outputs=teacher_spec.outputs,
        )

    @torch.no_grad()
    def initialise(self, model: Any, teacher: Any) -> None:
        """Token vectors from the teacher and, with `source="encoder"`, the head (module docstring)."""
        if self.source == "embeddings":
            model.vectors.weight.copy_(embeddings.word_vectors(teacher, model.spec.size, "student.size"))
            return
        components = embeddings.principal_components(token_outputs(teacher), model.spec.size, "student.size")
        model.vectors.weight.copy_(components.projected)
        model.head.weight.copy_(teacher.head.weight @ components.axes)
        model.head.bias.copy_(teacher.head.weight @ components.mean + teacher.head.bias)

    def describe(self, spec: StaticSpec) -> str:
        """`static 256`."""
        return f"static {spec.size}"


_outputs: WeakKeyDictionary[nn.Module, Tensor] = WeakKeyDictionary()  # a sweep asks for its teacher's again and again


@torch.no_grad()
def token_outputs(teacher: Any, batch_size: int = 256) -> Tensor:
    """Pooled output of the teacher for each token of its vocabulary alone, between its special tokens, [V, D].

    Kept for as long as the teacher lives, whose weights no longer change: it takes seconds for thousands of tokens.

    Args:
        teacher: A `Transformer`; left in the mode it was in.
        batch_size: Tokens a pass; 256 x 3 positions fill the caches of one core and not more.
    """
    if teacher in _outputs:
        return _outputs[teacher]
    before, after = teacher.spec.around
    tokens = range(embeddings.vocabulary_size(teacher.spec))
    ids = torch.tensor([[*before, token, *after] for token in tokens], device=teacher.head.weight.device)
    training = teacher.training
    teacher.eval()
    outputs = [teacher.pooled(batch, torch.ones_like(batch)) for batch in torch.split(ids, batch_size)]
    teacher.train(training)
    _outputs[teacher] = torch.cat(outputs)
    return _outputs[teacher]
