"""Making onnxruntime-genai's graph of a model, with its own builder.

The builder reads a model as transformers saves it and runs in a process of its own, in an empty folder: it leaves
things where it runs, prints as it likes, and its memory is free again when it is done.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import save
from tokenizers import Tokenizer, models

from millis.backends.genai.session import CONFIG, open_decoder
from millis.backends.genai.sizes import GRAPH, INSTEAD, checked, config, runtime_config
from millis.backends.scratch import blame_machine, fp32_bytes, scratch
from millis.backends.tracing import difference
from millis.errors import MillisError
from millis.types import Signature

BUILDER = "onnxruntime_genai.models.builder"
DATA = f"{GRAPH}.data"


def build(model: Any, folder: Path, signature: Signature, arguments: Sequence[str], exact: bool) -> None:
    """Write the graph of `model`, its weights and its config into `folder`.

    Args:
        model: A `millis.models.encoder.Transformer`.
        arguments: Of the builder: which integers.
        exact: Whether the graph computes in fp32, so that it has to agree with the module.

    Raises:
        MillisError: a model that onnxruntime-genai cannot run, a builder that fails, or a graph that does not compute
            what the module does.
    """
    spec, shape = checked(model.spec)
    expected = runtime_config(spec, shape)
    with scratch(fp32_bytes(model)) as place:
        source, made = place / "model", place / "graph"
        source.mkdir()
        _save(model, config(spec, shape), source)
        _run(["-i", str(source), "-o", str(made), "-c", str(place / "cache"), "-e", "cpu", *arguments], place, model)
        _check_names(made, expected)
        for name in (GRAPH, DATA):
            (folder / name).write_bytes((made / name).read_bytes())
    (folder / CONFIG).write_text(json.dumps(expected, indent=1), encoding="utf-8")
    try:
        decoder = open_decoder(folder, expected, threads=1)
        fault = difference(model, decoder, signature) if exact else _silence(decoder)
    except RuntimeError as error:  # of a kernel that does not take what the builder gives it
        fault = str(error).strip().splitlines()[-1]
    if fault:
        raise MillisError(f"onnxruntime-genai does not compute what the model does: {fault}. {INSTEAD}")


def _silence(decoder: Any) -> str | None:
    """Whether a decoder says nothing after a token."""
    return None if np.isfinite(decoder.begin(1).read(np.zeros(1, np.int64))).all() else "its logits are no numbers"


def _save(model: Any, values: dict[str, Any], folder: Path) -> None:
    """What the builder reads; the tokenizer is none, for it is copied and nothing else."""
    tensors = {f"model.{name}": tensor for name, tensor in model.encoder.state_dict().items()}
    if not values["tie_word_embeddings"]:
        (head,) = model.classifiers()
        tensors["lm_head.weight"] = head.weight
    content = save({name: tensor.detach().contiguous() for name, tensor in tensors.items()}, {"format": "pt"})
    (folder / "model.safetensors").write_bytes(content)
    (folder / "config.json").write_text(json.dumps(values), encoding="utf-8")
    Tokenizer(models.WordLevel({"a": 0}, unk_token="a")).save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}', encoding="utf-8")


def _run(arguments: Sequence[str], place: Path, model: Any) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", BUILDER, *arguments],
        cwd=place,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if ran.returncode:
        lines = [line.strip() for line in ran.stderr.splitlines() if line.strip()]
        reason = lines[-1] if lines and ran.returncode > 0 else f"it ended with {ran.returncode}"
        fault = RuntimeError(reason)
        blame_machine(fault, fp32_bytes(model))
        raise MillisError(f"onnxruntime-genai's builder cannot take this model: {reason}. {INSTEAD}") from fault


def _check_names(made: Path, expected: dict[str, Any]) -> None:
    """Refuse a graph that takes or gives something else than its config will say."""
    said = json.loads((made / CONFIG).read_text(encoding="utf-8"))["model"]["decoder"]
    for part in ("inputs", "outputs"):
        if said[part] != expected["model"]["decoder"][part]:
            raise MillisError(
                f"the graph of the installed onnxruntime-genai has the {part} {said[part]}, expected "
                f"{expected['model']['decoder'][part]}: install onnxruntime-genai 0.18. {INSTEAD}"
            )
