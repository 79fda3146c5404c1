"""Small encoder-decoders of every architecture, and what transformers makes of them."""

import numpy as np
import torch
from shaped import spread
from transformers import AutoConfig, AutoModelForSeq2SeqLM

from millis.models import build, stacks
from millis.models.encoder_decoder_spec import EncoderDecoderSpec
from millis.types import Output

VOCABULARY, LONGEST = 48, 64
REPLY = Output("reply", "token", VOCABULARY, "next")
T5 = {
    "model_type": "t5", "vocab_size": VOCABULARY, "d_model": 24, "d_kv": 6, "d_ff": 40, "num_layers": 3,
    "num_decoder_layers": 2, "num_heads": 4, "relative_attention_num_buckets": 8, "n_positions": LONGEST,
    "relative_attention_max_distance": 12, "pad_token_id": 0, "eos_token_id": 2, "decoder_start_token_id": 3,
}  # fmt: skip
SIDES = {
    f"{side}_{name}": value
    for side, layers in (("encoder", 3), ("decoder", 2))
    for name, value in (("layers", layers), ("attention_heads", 4), ("ffn_dim", 40))
}
BART = {
    "model_type": "bart", "vocab_size": VOCABULARY, "d_model": 24, "max_position_embeddings": LONGEST,
    "pad_token_id": 0, "eos_token_id": 2, "bos_token_id": 1, "decoder_start_token_id": 3, **SIDES,
}  # fmt: skip
KINDS = {
    "t5": {**T5, "feed_forward_proj": "relu"},
    "t5, since 1.1": {**T5, "feed_forward_proj": "gated-gelu", "scale_decoder_outputs": False},
    "bart": {**BART, "scale_embedding": True},
    "marian": {**BART, "model_type": "marian", "activation_function": "swish", "scale_embedding": True},
}


def spec_of(kind="t5, since 1.1", tied=True, biased=False, **changes):
    """The architecture of a model that answers texts."""
    config = KINDS[kind] | changes
    encoder, decoder = stacks.find(config["model_type"]).shapes(config)
    return EncoderDecoderSpec(
        config=config, encoder=encoder, decoder=decoder, cross=decoder.heads, affixes=((1,), (3,)), starts=(3,),
        tied=tied, biased=biased, outputs=(REPLY._replace(width=config["vocab_size"]),),
    )  # fmt: skip


def answering(kind="t5, since 1.1", seed=0, **changes):
    """A model that answers texts, with wide-apart weights."""
    return spread(build(spec_of(kind, **changes)), seed)


def of_transformers(model):
    """transformers' own model of the same weights; of a model that was not cut."""
    config = AutoConfig.for_model(**model.spec.config)
    made = AutoModelForSeq2SeqLM.from_config(config, attn_implementation="eager").eval()
    inner = made if model.spec.kind == "t5" else made.model
    missing, unknown = inner.load_state_dict(model.encoder.state_dict(), strict=False)
    assert not unknown and set(missing) <= {"lm_head.weight"}
    return made


def row(seed=0, source=7, written=5):
    """A row [1, S] of a text that is read, and one that is written, with mask and types."""
    random = np.random.default_rng(seed)
    ids = [1, *random.integers(4, VOCABULARY, source - 1), 3, *random.integers(4, VOCABULARY, written)]
    types = [0] * (source + 1) + [1] * written
    tensors = (torch.tensor([values]) for values in (ids, [1] * len(ids), types))
    return tuple(tensors)


def after_each(model, ids, mask, types):
    """What the module says after each token of a row, [S, V]."""
    with torch.inference_mode():
        return model(ids, mask, types).numpy()[0]
