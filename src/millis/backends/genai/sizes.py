"""The sizes of a model as onnxruntime-genai asks for them: one number of heads and of neurons for all layers.

Torch-free: an artifact that is opened is held against them.
"""

from typing import Any

from millis.errors import MillisError
from millis.models.encoder_decoder_spec import EncoderDecoderSpec
from millis.models.outputs import writes
from millis.models.spec import Shape, Spec
from millis.models.transformer_spec import TransformerSpec

ARCHITECTURES = {"llama": "LlamaForCausalLM", "mistral": "MistralForCausalLM", "qwen2": "Qwen2ForCausalLM"}
GRAPH = "model.onnx"
HEAD_SIZES = 16  # what its attention asks for
INSTEAD = "Use backend=native or backend=eager"


def checked(spec: Spec) -> tuple[TransformerSpec, Shape]:
    """`spec` and its shape, of a model that onnxruntime-genai can run.

    Raises:
        MillisError: what it has that cannot be run.
    """
    if isinstance(spec, EncoderDecoderSpec):
        raise MillisError(
            f"backend=onnxruntime_genai cannot run a {spec.kind!r} encoder-decoder: its engine has none. Use "
            "backend=onnxruntime or backend=eager"
        )
    known = isinstance(spec, TransformerSpec) and spec.kind in ARCHITECTURES and spec.shape is not None
    if not (known and isinstance(spec, TransformerSpec) and writes(spec.outputs)):
        kind = spec.kind if isinstance(spec, TransformerSpec) else spec.family
        raise _refused(f"a {kind!r} model with {len(spec.outputs)} outputs", f"{', '.join(ARCHITECTURES)} that write")
    shape = spec.known_shape
    heads, ffn = sorted(set(shape.heads)), sorted(set(shape.ffn))
    faults: dict[str, tuple[str, object]] = {
        "layers that may answer early": ("early_exit=none", spec.exits),
        "layers that drop tokens": ("tokens=none", spec.tokens),
        f"matrices of low rank, first {next(iter(spec.ranks), '')}": ("factorization=none", spec.ranks),
        f"layers of {heads} heads": ("one number for all", len(heads) != 1 or 0 in heads),
        f"layers of {ffn} neurons": ("one number for all", len(ffn) != 1 or 0 in ffn),
        f"heads of {shape.head_size} channels": (f"a multiple of {HEAD_SIZES}", shape.head_size % HEAD_SIZES),
    }
    hidden, longest = (int(spec.encoder[name]) for name in ("hidden_size", "max_position_embeddings"))
    if spec.kind == "mistral" or spec.encoder.get("use_sliding_window"):
        window = int(spec.encoder.get("sliding_window") or longest)
        faults[f"attention to the last {window} of {longest} tokens"] = ("to all of them", window < longest)
    if len(heads) == 1 and heads[0]:  # transformers' configs refuse the others
        faults[f"{heads[0]} heads at a hidden size of {hidden}"] = ("a number that divides it", hidden % heads[0])
    for what, (expected, holds) in faults.items():
        if holds:
            raise _refused(what, expected)
    return spec, shape


def _refused(what: str, expected: str) -> MillisError:
    return MillisError(f"backend=onnxruntime_genai cannot run {what}; expected {expected}. {INSTEAD}")


def config(spec: TransformerSpec, shape: Shape) -> dict[str, Any]:
    """The `config.json` of transformers that says what is left of a model."""
    heads, whole = shape.heads[0], int(spec.encoder["num_attention_heads"])
    groups = whole // int(spec.encoder.get("num_key_value_heads") or whole)
    special = dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"), 0)  # not read: who writes knows them
    values = {name: value for name, value in spec.encoder.items() if name != "layer_types"}
    return {
        **values,
        **special,
        "architectures": [ARCHITECTURES[spec.kind]],
        "dtype": "float32",
        "num_hidden_layers": len(shape.heads),
        "num_attention_heads": heads,
        "num_key_value_heads": heads // groups,
        "head_dim": shape.head_size,
        "intermediate_size": shape.ffn[0],
        "vocab_size": spec.outputs[0].width,
        "tie_word_embeddings": spec.tied,
    }


def runtime_config(spec: TransformerSpec, shape: Shape) -> dict[str, Any]:
    """The `genai_config.json` that a model is opened with.

    It is a function of the architecture alone and compared when an artifact is opened: the file could also name
    libraries to load.
    """
    values = config(spec, shape)
    longest = int(values["max_position_embeddings"])
    before, after = "past_key_values.%d", "present.%d"
    decoder = {
        "filename": GRAPH,
        "head_size": shape.head_size,
        "hidden_size": int(values["hidden_size"]),
        "num_attention_heads": values["num_attention_heads"],
        "num_hidden_layers": values["num_hidden_layers"],
        "num_key_value_heads": values["num_key_value_heads"],
        "inputs": {
            "input_ids": "input_ids", "attention_mask": "attention_mask",
            "past_key_names": f"{before}.key", "past_value_names": f"{before}.value",
        },
        "outputs": {
            "logits": "logits", "present_key_names": f"{after}.key", "present_value_names": f"{after}.value",
        },
        "session_options": {"provider_options": []},
    }  # fmt: skip
    special = {name: values[name] for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    model = {**special, "type": spec.kind, "vocab_size": values["vocab_size"], "context_length": longest}
    search = {"max_length": longest, "past_present_share_buffer": True}
    return {"model": {**model, "decoder": decoder}, "search": search}
