"""Small models that write, of every architecture whose tokens look back only, and what transformers makes of them."""

import copy

import torch
from shaped import spread
from transformers import AutoConfig, AutoModelForCausalLM

from millis.backends.artifact import write_artifact
from millis.backends.eager import Eager
from millis.models import anatomy, build, byte_pairs, read
from millis.storage.manifest import Manifest
from millis.types import Output

VOCABULARY, LONGEST = 48, 96
NEXT = Output("next", "token", VOCABULARY, "next")
ROTARY = {
    "vocab_size": VOCABULARY, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 6, "intermediate_size": 40, "max_position_embeddings": LONGEST,
    "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
GPT2 = {
    "vocab_size": VOCABULARY, "n_embd": 24, "n_layer": 2, "n_head": 4, "n_inner": 40, "n_positions": LONGEST,
    "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0,
}  # fmt: skip
CAUSAL = {
    "llama": {"model_type": "llama", **ROTARY},
    "llama, every head its own": {"model_type": "llama", **ROTARY, "num_key_value_heads": 4},
    "mistral": {"model_type": "mistral", **ROTARY, "sliding_window": None},
    "qwen2": {"model_type": "qwen2", **ROTARY},
    "gpt2": {"model_type": "gpt2", **GPT2},
    "gpt2, scaled by depth": {"model_type": "gpt2", **GPT2, "scale_attn_by_inverse_layer_idx": True},
}
TEXTS = ["the cat sat on the mat", "a dog sat on the cat", "größer ist die 猫", "the dog and the cat"] * 3


def spec_of(kind="llama", tied=True, affixes=((1,), (2,)), **changes):
    """The architecture of a model that writes."""
    config = CAUSAL[kind] | changes
    said = {
        "family": "transformer", "encoder": config, "pooling": "mean", "dropout": 0.0, "tied": tied,
        "outputs": [["next", "token", config["vocab_size"], "next"]],
    }  # fmt: skip
    shape = anatomy.full_shape(config)
    sizes = {"head_size": shape.head_size, "heads": list(shape.heads), "ffn": list(shape.ffn)}
    return read({**said, "shape": sizes, "affixes": [list(ids) for ids in affixes]})


def writer(kind="llama", seed=0, **changes):
    """A model that writes, with wide-apart weights."""
    return spread(build(spec_of(kind, **changes)), seed)


def of_transformers(model):
    """transformers' own model of the same weights; of a model that was not cut."""
    config = dict(model.spec.encoder)
    made = AutoModelForCausalLM.from_config(
        AutoConfig.for_model(**config, tie_word_embeddings=model.spec.tied), attn_implementation="eager"
    ).eval()
    inner = made.transformer if config["model_type"] == "gpt2" else made.model
    state = {name: value.clone() for name, value in model.encoder.state_dict().items()}
    if config["model_type"] == "gpt2":
        state = fused(state)
    missing, unknown = inner.load_state_dict(state, strict=False)
    assert not unknown
    assert all("rotary" in name or name.endswith(".attn.bias") for name in missing), missing
    with torch.no_grad():
        made.lm_head.weight.copy_(model.head["next"].weight)
    return made


def fused(state):
    """GPT-2's weights as transformers has them: three projections in one, matrices [in, out]."""
    found = copy.copy(state)
    for name in [name for name in state if ".c_attn.query." in name]:
        parts = [found.pop(name.replace("query", part)) for part in ("query", "key", "value")]
        found[name.replace("query.", "")] = torch.cat(parts)
    return {name: value.T if "c_" in name and value.dim() == 2 else value for name, value in found.items()}


TOKENIZER = byte_pairs.train(TEXTS, 280)


def speaker(seed=0, tokenizer=TOKENIZER, **changes):
    """A model over the vocabulary of a tokenizer."""
    return writer(seed=seed, vocab_size=tokenizer.get_vocab_size(), **changes)


def written(
    folder,
    model=None,
    tokenizer=TOKENIZER,
    backend=None,
    max_length=LONGEST,
    quantization=None,
    storage=None,
    **changes,
):
    """The folder of an artifact that writes."""
    model = speaker(tokenizer=tokenizer) if model is None else model
    described = Manifest(
        "writer", "", model.spec, {"name": "language_model"}, ("input_ids", "attention_mask"), max_length, **changes
    )
    write_artifact(folder, model, tokenizer, backend or Eager(), described, quantization, storage=storage)
    return folder
