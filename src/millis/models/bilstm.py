"""Family `bilstm`: word vectors, one bidirectional LSTM layer, maximum over time, linear head.

Tang et al. 2019 (1903.12136), section 3.2, who distil BERT into it. Departures: maximum over time (Conneau et al. 2017,
1705.02364) in place of the last states and their hidden layer, as it needs no position of the last token and one matrix
product less; word vectors come from the teacher. Outputs per token read the two directions' outputs at the token,
as taggers do (Huang et al. 2015, 1508.01991).

Spec: `millis.models.bilstm_spec`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from millis.models import embeddings, heads, pooling
from millis.models.bilstm_spec import BilstmSpec
from millis.models.outputs import require
from millis.models.sizes import Size, check_size, count
from millis.models.transformer_spec import TransformerSpec
from millis.types import Output

MAX_LENGTH = 512  # any length would do; the teacher, whose answers are learned, takes 512


def build(spec: BilstmSpec) -> "BiLstm":
    """Make the module with fresh weights."""
    return BiLstm(spec)


def max_length(spec: BilstmSpec) -> int:
    """Longest token sequence taken."""
    return MAX_LENGTH


class BiLstm(nn.Module):
    """Two one-way LSTMs, one reading the tokens forwards, one backwards; maximum over time of each.

    A bidirectional `nn.LSTM` would read the padding before the last token unless the batch is packed, and packed
    sequences do not export. Here the backward LSTM reads the tokens reversed in place, padding left at the end, so
    neither direction sees padding before a token. The maximum does not ask for the order to be restored; outputs per
    token do.

    Args:
        spec: Of the family.
    """

    def __init__(self, spec: BilstmSpec) -> None:
        super().__init__()
        self.spec = spec
        self.embedding = nn.Embedding(spec.vocab_size, spec.embedding_size)
        self.forwards = nn.LSTM(spec.embedding_size, spec.hidden_size, batch_first=True)
        self.backwards = nn.LSTM(spec.embedding_size, spec.hidden_size, batch_first=True)
        self.tokens = any(output.per == "token" for output in spec.outputs)
        self.dropout = nn.Dropout(spec.dropout)
        self.head = heads.head(2 * spec.hidden_size, spec.outputs)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None) -> Any:
        """Logits of token ids [B, S], padded on the right. `token_type_ids` are not read: a pair is one text."""
        position = attention_mask.cumsum(dim=1) - 1  # 0..n-1 on the n tokens, n-1 on padding
        mirrored = (attention_mask.sum(dim=1, keepdim=True) - 1 - position).clamp(min=0)
        forwards, backwards = (
            lstm(self.embedding(ids))[0]
            for lstm, ids in ((self.forwards, input_ids), (self.backwards, input_ids.gather(1, mirrored)))
        )
        if self.tokens:  # mirrored twice, every token is in its place again
            backwards = backwards.gather(1, mirrored.unsqueeze(2).expand(-1, -1, backwards.shape[2]))
        states = torch.cat([forwards, backwards], dim=2)
        return heads.answers(
            self.head,
            states,
            lambda found: pooling.maximum(found, attention_mask, floor=-1.0),  # tanh and a gate keep it above
            self.dropout,
        )


@dataclass(frozen=True)
class BiLstmStudent:
    """A bidirectional LSTM over the teacher's vocabulary, its word vectors initialised from the teacher's.

    Args:
        embedding_size: E, at most the teacher's; see `millis.models.sizes`.
        hidden_size: D of each direction.
        dropout: Before the head.
    """

    trains: ClassVar[bool] = True
    fits: ClassVar[bool] = False

    embedding_size: Size = 0.25
    hidden_size: int = 128
    dropout: float = 0.5

    def __post_init__(self) -> None:
        check_size("student.embedding_size", self.embedding_size)

    @staticmethod
    def check_outputs(outputs: Sequence[Output]) -> None:
        """Refuse to say what comes next in a text: both directions of a BiLSTM read it.

        Raises:
            MillisError: it is asked for.
        """
        require(outputs, ("text", "token"), "student=bilstm", "Choose student=transformer")

    def spec(self, teacher_spec: TransformerSpec) -> BilstmSpec:
        """The student's architecture."""
        return BilstmSpec(
            vocab_size=embeddings.vocabulary_size(teacher_spec),
            embedding_size=count(self.embedding_size, embeddings.dimensions(teacher_spec)),
            hidden_size=self.hidden_size,
            dropout=self.dropout,
            outputs=teacher_spec.outputs,
        )

    def initialise(self, model: Any, teacher: Any) -> None:
        """Word vectors from the teacher; the rest stays fresh."""
        model.embedding.weight.data.copy_(
            embeddings.word_vectors(teacher, model.spec.embedding_size, "student.embedding_size")
        )

    def describe(self, spec: BilstmSpec) -> str:
        """`bilstm 128 e128`: hidden size of each direction, embedding size."""
        return f"bilstm {spec.hidden_size} e{spec.embedding_size}"
