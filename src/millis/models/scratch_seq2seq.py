"""Model source `scratch_seq2seq`: a tokenizer and a small encoder-decoder made from the training texts alone, its
output matrix tied to the table of token vectors, which both sides read.

It has the form of T5 1.1 (Raffel et al. 2020, 1910.10683): pre-norm blocks by root mean square (1910.07467) and gated
feed-forwards (2002.05202) as the small Llama of `millis.models.scratch_decoder`. Positions are learned biases by
distance in place of rotary ones, for that is what engines of encoder-decoders run (CTranslate2); they begin with what
is near. Weights start as that Llama's, N(0, 0.02²), and logits are not scaled.

Nothing is downloaded, and any language will do. The same texts give the same tokenizer; weights follow torch's seed.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers.models.t5.modeling_t5 import T5Attention

from millis.errors import MillisError
from millis.models import byte_pairs, heads, stacks
from millis.models.encoder_decoder import EncoderDecoder
from millis.models.encoder_decoder_spec import EncoderDecoderSpec
from millis.models.outputs import over, plain
from millis.types import Output, Text

SLOPES = 4.0  # the flattest head's is 2^-SLOPES a token
AGAINST = 2.0  # of the tokens on the side that a head does not look to
MOST = 8.0  # of a bias: e^-8 is as good as nothing


@dataclass(frozen=True)
class ScratchSeq2seq:
    """An untrained T5 over byte pairs of the training texts.

    Args:
        layers: Of the encoder.
        decoder_layers: Of the decoder, which are paid for each token that is written.
        hidden_size: D, a multiple of `heads`.
        heads: H, of every attention.
        ffn_size: F; three matrices of F x D make a gated feed-forward.
        vocab_size: Upper bound of V; few texts give fewer tokens.
        max_length: Longest token sequence that the model is made for, both texts together.
        dropout: Of attention, and of what each sublayer adds.

    Raises:
        MillisError: sizes that do not divide, or a vocabulary without room for a merge.
    """

    fresh: ClassVar[bool] = True

    layers: int = 4
    decoder_layers: int = 2
    hidden_size: int = 256
    heads: int = 4
    ffn_size: int = 688
    vocab_size: int = 8192
    max_length: int = 1024
    dropout: float = 0.1

    def __post_init__(self) -> None:
        if self.hidden_size % self.heads:
            raise MillisError(
                f"model.hidden_size={self.hidden_size} is not a multiple of model.heads={self.heads}: use for example "
                f"{self.hidden_size // self.heads * self.heads or self.heads}"
            )
        byte_pairs.check_size(self.vocab_size)

    def family(self, outputs: Sequence[Output]) -> str:
        """Of the model that it gives."""
        return EncoderDecoderSpec.family

    def __call__(
        self, outputs: Sequence[Output], texts: Sequence[Text], labels: Sequence[str] = ()
    ) -> tuple[nn.Module, Tokenizer]:
        """Train the tokenizer on `texts` and make the model that gives `outputs`; `labels` are not read.

        Raises:
            MillisError: no texts, or outputs that are no text in answer to another.
        """
        tokenizer = byte_pairs.train(texts, self.vocab_size, replies=True)
        pad, begin, end, turn = (byte_pairs.SPECIAL_TOKENS.index(token) for token in byte_pairs.SPECIAL_TOKENS)
        config = {
            "model_type": "t5",
            "vocab_size": tokenizer.get_vocab_size(),
            "num_layers": self.layers,
            "num_decoder_layers": self.decoder_layers,
            "d_model": self.hidden_size,
            "num_heads": self.heads,
            "d_kv": self.hidden_size // self.heads,
            "d_ff": self.ffn_size,
            "feed_forward_proj": "gated-silu",
            "dropout_rate": self.dropout,
            "layer_norm_epsilon": 1e-6,
            "scale_decoder_outputs": False,
            "n_positions": self.max_length,
            "pad_token_id": pad,
            "eos_token_id": end,
            "decoder_start_token_id": turn,
        }
        encoder, decoder = stacks.find("t5").shapes(config)
        spec = EncoderDecoderSpec(
            config=config,
            encoder=encoder,
            decoder=decoder,
            cross=decoder.heads,
            affixes=((begin,), (turn,)),
            starts=(turn,),
            outputs=plain(over(outputs, tokenizer.get_vocab_size())),
        )
        model = EncoderDecoder(spec)
        _start(model)
        return model, tokenizer


@torch.no_grad()
def _start(model: EncoderDecoder) -> None:
    """Fresh matrices and tables as the small Llama's, N(0, STD²); what distances say, as `_distances`."""
    for name, weight in model.named_parameters():
        if weight.dim() == 2 and "relative_attention_bias" not in name:
            weight.normal_(std=heads.STD)
    for attention in model.modules():
        if isinstance(attention, T5Attention) and attention.has_relative_attention_bias:
            attention.relative_attention_bias.weight.copy_(_distances(attention))


def _distances(attention: T5Attention) -> Tensor:
    """Biases [buckets, H] that attention begins with: the farther the less, by a slope for each head (ALiBi, Press et
    al. 2022, 2108.12409); where tokens look both ways, heads look back and ahead by turns.

    Biases of zero would say nothing of the order of words, and learn it last: a step moves one by its rate at most.
    """
    buckets, farthest = attention.relative_attention_num_buckets, attention.relative_attention_max_distance
    both, count = not attention.is_decoder, attention.n_heads
    away = torch.arange(-2 * farthest, 2 * farthest + 1 if both else 1)
    within = F.one_hot(attention._relative_position_bucket(away, both, buckets, farthest), buckets).float()
    mean = (away.float() @ within / within.sum(dim=0).clamp(min=1))[:, None]  # of each bucket
    head, ways = torch.arange(count), 1 + both
    slopes = 2.0 ** -(SLOPES * (head // ways + 1) / math.ceil(count / ways))
    against = both * torch.where(head % 2 == 0, mean > 0, mean < 0)
    biases: Tensor = -slopes * mean.abs() - AGAINST * against
    return biases.clamp(min=-MOST)
