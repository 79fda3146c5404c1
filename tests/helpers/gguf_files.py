"""GGUF files of tiny random Llamas with a byte-level tokenizer, written with gguf's own writer."""

from pathlib import Path
from typing import Any

import numpy as np

SIZES = {"layers": 2, "hidden_size": 32, "heads": 4, "kv_heads": 2, "head_size": 8, "ffn_size": 64}
CONTROL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
MERGES = ["t h", "th e", "Ġ the", "Ġ a", "1 2", "Ġ 1", "a n", "Ġa n", "Ġan d", "d d"]


def alphabet() -> list[str]:
    """GPT-2's character for each byte, in its order: printable ones stand for themselves, others from U+0100 on."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    spelled = {byte: chr(byte) for byte in printable} | {byte: chr(256 + n) for n, byte in enumerate(others)}
    return [spelled[byte] for byte in range(256)]


TOKENS = [*CONTROL, *alphabet(), *(merge.replace(" ", "") for merge in MERGES if merge != "d d")]
METADATA: dict[str, Any] = {
    "llama.block_count": 2,
    "llama.context_length": 64,
    "llama.embedding_length": 32,
    "llama.feed_forward_length": 64,
    "llama.attention.head_count": 4,
    "llama.attention.head_count_kv": 2,
    "llama.attention.layer_norm_rms_epsilon": 1e-5,
    "llama.rope.freq_base": 5000.0,
    "llama.rope.dimension_count": 8,
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.pre": "smollm",
    "tokenizer.ggml.tokens": TOKENS,
    "tokenizer.ggml.token_type": [3] * len(CONTROL) + [1] * (len(TOKENS) - len(CONTROL)),
    "tokenizer.ggml.merges": MERGES[:-1],
    "tokenizer.ggml.bos_token_id": 1,
    "tokenizer.ggml.eos_token_id": 2,
    "tokenizer.ggml.padding_token_id": 2,
}


def tensors(seed: int = 0, tied: bool = True) -> dict[str, np.ndarray]:
    """Name in the file → random values in fp32, of `METADATA`'s sizes."""
    random = np.random.default_rng(seed)
    shapes = {"token_embd": (len(TOKENS), 32), "output_norm": (32,)}
    for layer in range(2):
        inside = {
            "attn_norm": (32,), "attn_q": (32, 32), "attn_k": (16, 32), "attn_v": (16, 32), "attn_output": (32, 32),
            "ffn_norm": (32,), "ffn_gate": (64, 32), "ffn_up": (64, 32), "ffn_down": (32, 64),
        }  # fmt: skip
        shapes |= {f"blk.{layer}.{name}": shape for name, shape in inside.items()}
    if not tied:
        shapes["output"] = (len(TOKENS), 32)
    return {
        f"{name}.weight": random.normal(1.0 if "norm" in name else 0.0, 0.2, shape).astype(np.float32)
        for name, shape in shapes.items()
    }


def write(path: Path, arrays: dict[str, Any], kinds: Any = "F32", architecture: str = "llama", **values: Any) -> Path:
    """A file of `arrays` and `METADATA`.

    Args:
        kinds: How matrices are stored, a name of gguf's; norms stay F32, and arrays of integers as they are.
        values: Other metadata, dots of their names as double underscores; None takes one away.
    """
    from gguf import GGMLQuantizationType, GGUFWriter, quants

    writer = GGUFWriter(path, architecture)
    said = METADATA | {name.replace("__", "."): value for name, value in values.items()}
    add = {str: writer.add_string, int: writer.add_uint32, float: writer.add_float32, bool: writer.add_bool}
    for name, value in said.items():
        if value is not None:
            add.get(type(value), writer.add_array)(name, value)
    for name, array in arrays.items():
        kind = GGMLQuantizationType[kinds if array.ndim > 1 else "F32"]
        if array.dtype != np.float32 or kind.name in ("F32", "F16"):
            writer.add_tensor(name, array.astype(np.float16) if kind.name == "F16" and array.ndim > 1 else array)
        else:
            writer.add_tensor(name, quants.quantize(array, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
