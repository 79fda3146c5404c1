"""Model source `scratch_decoder`: a tokenizer and a small Llama (Touvron et al. 2023, 2302.13971) made from the
training texts alone, its output matrix tied to the table of token vectors.

Nothing is downloaded, and any language will do. The same texts give the same tokenizer; weights follow torch's seed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from tokenizers import Tokenizer
from torch import nn

from millis.errors import MillisError
from millis.models import anatomy, byte_pairs
from millis.models.encoder import Transformer
from millis.models.outputs import over, plain, replies
from millis.models.transformer_spec import TransformerSpec
from millis.types import Output, Text


@dataclass(frozen=True)
class ScratchDecoder:
    """An untrained Llama over byte pairs of the training texts.

    Args:
        layers: L.
        hidden_size: D, a multiple of `heads`.
        heads: H, a multiple of `key_value_heads`.
        key_value_heads: Keys and values that the heads share in groups (Ainslie et al. 2023, 2305.13245).
        ffn_size: F; three matrices of F x D make a gated feed-forward.
        vocab_size: Upper bound of V; few texts give fewer tokens.
        max_length: Longest token sequence that the model is made for.
        dropout: Of attention, and before the head.

    Raises:
        MillisError: sizes that do not divide, or a vocabulary without room for a merge.
    """

    fresh: ClassVar[bool] = True

    layers: int = 4
    hidden_size: int = 256
    heads: int = 4
    key_value_heads: int = 2
    ffn_size: int = 688
    vocab_size: int = 8192
    max_length: int = 1024
    dropout: float = 0.1

    def __post_init__(self) -> None:
        for name, whole, part in (("hidden_size", self.hidden_size, "heads"), ("heads", self.heads, "key_value_heads")):
            if whole % (size := getattr(self, part)):
                raise MillisError(
                    f"model.{name}={whole} is not a multiple of model.{part}={size}: use for example "
                    f"{whole // size * size or size}"
                )
        if self.hidden_size // self.heads % 2:
            raise MillisError(
                f"model.hidden_size={self.hidden_size} with model.heads={self.heads} makes heads of "
                f"{self.hidden_size // self.heads}: rotary positions turn pairs of channels, so expected an even number"
            )
        byte_pairs.check_size(self.vocab_size)

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
        tokenizer = byte_pairs.train(texts, self.vocab_size, replies(outputs))
        pad, begin, end, turn = (byte_pairs.SPECIAL_TOKENS.index(token) for token in byte_pairs.SPECIAL_TOKENS)
        config = {
            "model_type": "llama",
            "vocab_size": tokenizer.get_vocab_size(),
            "num_hidden_layers": self.layers,
            "hidden_size": self.hidden_size,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.key_value_heads,
            "head_dim": self.hidden_size // self.heads,
            "intermediate_size": self.ffn_size,
            "max_position_embeddings": self.max_length,
            "rms_norm_eps": 1e-6,
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
            "attention_dropout": self.dropout,
            "pad_token_id": pad,
            "bos_token_id": begin,
            "eos_token_id": end,
        }
        given = plain(over(outputs, tokenizer.get_vocab_size()))
        spec = TransformerSpec(
            encoder=config,
            shape=anatomy.full_shape(config),
            affixes=((begin,), (turn if replies(outputs) else end,)),
            pooling="mean",
            dropout=self.dropout,
            outputs=given,
            tied=any(output.choice == "next" for output in given),
        )
        return Transformer(spec), tokenizer
