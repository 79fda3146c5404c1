"""Artifacts of a few kilobytes of every kind, for files of them to be changed at random."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from signatures import answering

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"abcdefgh"]


def write_plans(made: Path) -> None:
    """A model of each family on backend=native, in fp32, int8 and int4."""
    import torch

    from millis.backends.artifact import write_artifact
    from millis.backends.native import Native
    from millis.models import build, read
    from millis.quantization.spec import Quantization
    from millis.storage.manifest import Manifest
    from millis.tasks.language_model import LanguageModel

    torch.manual_seed(0)
    words, tokens = {"vocab_size": len(WORDS), "dropout": 0.0, "num_labels": 2}, {"embedding_size": 8}
    encoder = {
        "model_type": "bert", "vocab_size": len(WORDS), "hidden_size": 16, "num_hidden_layers": 2,
        "num_attention_heads": 2, "intermediate_size": 16, "max_position_embeddings": 16, "pad_token_id": 0,
    }  # fmt: skip
    whole = {
        "family": "transformer", "affixes": [[2], [3]], "pooling": "cls", "dropout": 0.0, "num_labels": 2,
        "shape": {"head_size": 8, "heads": [2, 0], "ffn": [16, 5]}, "encoder": encoder,
    }  # fmt: skip
    for name, spec in {
        "static": {"family": "static", "size": 16, **words},
        "convolution": {"family": "convolution", "filters": 5, "widths": [1, 3], **words, **tokens},
        "bilstm": {"family": "bilstm", "hidden_size": 7, **words, **tokens},
        "transformer": whole,
        "tokens": {**whole, "tokens": [0]},
        "exits": {**whole, "exits": [0]},
        "decoder": {
            **whole, "num_labels": None, "outputs": [["next", "token", len(WORDS), "next"]], "tied": True,
            "encoder": encoder | {"model_type": "llama", "num_key_value_heads": 1, "rope_parameters": None},
            "shape": {"head_size": 8, "heads": [2, 4], "ffn": [16, 5]},
        },
    }.items():  # fmt: skip
        task = LanguageModel().described() if name == "decoder" else answering("no", "yes")
        blocks = Quantization(weights=4, activations="none", block_size=16)
        for kind, quantization in {"fp32": None, "int8": Quantization(), "int4": blocks}.items():
            described = Manifest(name, "", read(spec), task, ("input_ids", "attention_mask"), 12)
            write_artifact(made / f"{name}-{kind}", build(read(spec)), _words(), Native(), described, quantization)


def _words() -> Any:
    """A tokenizer of `WORDS`."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    made = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return made


def write_artifacts(made: Path) -> None:
    import torch

    from millis.backends.artifact import write_artifact
    from millis.backends.eager import Eager
    from millis.backends.onnxruntime import OnnxRuntime
    from millis.models import build, read
    from millis.quantization.spec import Quantization
    from millis.serving import cascade
    from millis.storage.archived import Archived
    from millis.storage.manifest import Manifest, open_manifest

    written, words = _words(), WORDS
    torch.manual_seed(0)
    static = {"family": "static", "vocab_size": len(words), "size": 16, "dropout": 0.0, "num_labels": 2}
    exits = {
        "family": "transformer", "affixes": [[2], [3]], "pooling": "mean", "dropout": 0.0, "num_labels": 2,
        "exits": [0], "shape": {"head_size": 8, "heads": [2, 2], "ffn": [16, 16]},
        "encoder": {
            "model_type": "bert", "vocab_size": len(words), "hidden_size": 16, "num_hidden_layers": 2,
            "num_attention_heads": 2, "intermediate_size": 16, "max_position_embeddings": 16, "pad_token_id": 0,
        },
    }  # fmt: skip
    rule = Archived(1.0, ("zstd", "zlib"), ())
    for name, spec, backend, quantization, storage in (
        ("static-eager", static, Eager(), None, None), ("static-onnx", static, OnnxRuntime(), None, None),
        ("int8-eager", static, Eager(), Quantization(), None), ("archived", static, Eager(), None, rule),
        ("archived-onnx", static, OnnxRuntime(), None, rule), ("exits", exits, Eager(), None, None),
    ):  # fmt: skip
        described = Manifest(name, "", read(spec), answering("no", "yes"), ("input_ids", "attention_mask"), 12)
        if spec is exits:
            described = replace(described, early_exit={"policy": "entropy", "threshold": 0.5})
        write_artifact(made / name, build(read(spec)), written, backend, described, quantization, storage=storage)
    members = {
        member: (made / name, open_manifest(made / name))
        for member, name in (("fast", "static-eager"), ("accurate", "static-onnx"))
    }
    cascade.write(made / "cascade", members, "cascade", 0.7)
