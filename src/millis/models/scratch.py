"""Model source `scratch`: a tokenizer and a small BERT (1810.04805) made from the training texts alone.

Nothing is downloaded, and any language will do. The same texts give the same tokenizer; the encoder's weights follow
torch's seed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from tokenizers import Tokenizer
from torch import nn

from millis.errors import MillisError
from millis.models import anatomy, wordpiece
from millis.models.encoder import Transformer
from millis.models.outputs import plain
from millis.models.transformer_spec import TransformerSpec
from millis.types import Output, Text


@dataclass(frozen=True)
class Scratch:
    """An untrained BERT encoder over a WordPiece vocabulary of the training texts.

    Args:
        layers: L.
        hidden_size: D, a multiple of `heads`.
        heads: H.
        ffn_size: F.
        vocab_size: Upper bound of V; few texts give fewer tokens.
        max_length: Longest token sequence, special tokens included.
        lowercase: Whether to fold case and strip accents.
        pooling: "mean" or "cls".
        dropout: In the encoder and before the head.

    Raises:
        MillisError: `hidden_size` is no multiple of `heads`, or no room for more than the special tokens.
    """

    fresh: ClassVar[bool] = True

    layers: int = 4
    hidden_size: int = 256
    heads: int = 4
    ffn_size: int = 1024
    vocab_size: int = 8192
    max_length: int = 512
    lowercase: bool = True
    pooling: str = "mean"
    dropout: float = 0.1

    def __post_init__(self) -> None:
        if self.hidden_size % self.heads:
            raise MillisError(
                f"model.hidden_size={self.hidden_size} is not a multiple of model.heads={self.heads}: "
                f"use for example {self.hidden_size // self.heads * self.heads or self.heads}"
            )
        special = len(wordpiece.SPECIAL_TOKENS)
        if self.vocab_size <= special:
            raise MillisError(
                f"model.vocab_size={self.vocab_size} holds only the {special} special tokens: use some thousands"
            )

    def family(self, outputs: Sequence[Output]) -> str:
        """Of the model that it gives."""
        return TransformerSpec.family

    def __call__(
        self, outputs: Sequence[Output], texts: Sequence[Text], labels: Sequence[str] = ()
    ) -> tuple[nn.Module, Tokenizer]:
        """Train the tokenizer on `texts` and make the model that gives `outputs`; `labels` are not read.

        Raises:
            MillisError: no texts.
        """
        tokenizer = wordpiece.train(texts, self.vocab_size, self.lowercase)
        config = {
            "model_type": "bert",
            "vocab_size": tokenizer.get_vocab_size(),
            "num_hidden_layers": self.layers,
            "hidden_size": self.hidden_size,
            "num_attention_heads": self.heads,
            "intermediate_size": self.ffn_size,
            "max_position_embeddings": self.max_length,
            "type_vocab_size": 2,
            "pad_token_id": tokenizer.token_to_id("[PAD]"),
            "hidden_act": "gelu",
            "hidden_dropout_prob": self.dropout,
            "attention_probs_dropout_prob": self.dropout,
        }
        spec = TransformerSpec(
            encoder=config,
            shape=anatomy.full_shape(config),
            affixes=((wordpiece.SPECIAL_TOKENS.index("[CLS]"),), (wordpiece.SPECIAL_TOKENS.index("[SEP]"),)),
            pooling=self.pooling,
            dropout=self.dropout,
            outputs=plain(outputs),
        )
        return Transformer(spec), tokenizer
