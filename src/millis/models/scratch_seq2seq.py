"""Model source `scratch_seq2seq`: a tokenizer and a small encoder-decoder made from the training texts alone, its
output matrix tied to the table of token vectors, which both sides read.

It has the form of T5 1.1 (Raffel et al. 2020, 1910.10683): pre-norm blocks by root mean square (1910.07467) and gated
feed-forwards (2002.05202) as the small Llama of `millis.models.scratch_decoder`. Positions are learned biases by
distance in place of rotary ones, for that is what engines of encoder-decoders run (CTranslate2). Weights start as that
Llama's, N(0, 0.02²), and logits are not scaled.

Nothing is downloaded, and any language will do. The same texts give the same tokenizer; weights follow torch's seed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from tokenizers import Tokenizer
from torch import nn

from millis.errors import MillisError
from millis.models import byte_pairs, heads, stacks
from millis.models.encoder_decoder import EncoderDecoder
from millis.models.encoder_decoder_spec import EncoderDecoderSpec
from millis.models.outputs import over, plain
from millis.types import Output, Text


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
    """Fresh matrices and tables as the small Llama's, N(0, STD²); distances say nothing yet."""
    for name, weight in model.named_parameters():
        if "relative_attention_bias" in name:
            weight.zero_()
        elif weight.dim() == 2:
            weight.normal_(std=heads.STD)
