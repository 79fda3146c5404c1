"""SmolLM2-135M on every runtime that writes: how fast, and how well does it still predict?

    python benchmarks/smollm2.py DATA [prompt=32] [new=64] [rounds=10] [characters=20000] [skip=NAME,NAME] [folder=PATH]

DATA is a text file; its first tokens are the prompt, and the perplexity is of its first characters, in windows of 512
tokens that each begin anew. Speed as in `decoders.py`: one thread, every runtime in turn, to the first token an empty
continuation, the prompt and the choice; a token is the median of the others, and both are medians over rounds.
Perplexity is of the very sessions that write. The weights were rounded to 4 bits by whoever made them
(`millis.models.gguf.source`): fp32 is what is left.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from decoders import REFERENCE, measure
from results import Table

from millis import backends
from millis.backends.artifact import write_artifact
from millis.backends.eager import Eager
from millis.backends.native import Native
from millis.backends.onnxruntime import OnnxRuntime
from millis.backends.onnxruntime_genai import OnnxRuntimeGenai
from millis.errors import MillisError
from millis.generation.greedy import Greedy
from millis.models.gguf.source import SmolLm2
from millis.quantization.spec import Quantization
from millis.storage.manifest import Manifest, open_manifest, size_bytes
from millis.tasks.language_model import LanguageModel
from millis.types import Decoder, Features

WINDOW = 512
VARIANTS = {
    REFERENCE: (Eager(), None),
    "onnxruntime fp32": (OnnxRuntime(), None),
    "onnxruntime int8": (OnnxRuntime(), Quantization()),
    "onnxruntime int8 weights": (OnnxRuntime(), Quantization(activations="none", block_size=32)),
    "native fp32": (Native(), None),
    "native int8": (Native(), Quantization()),
    "native fp32, cache of int8": (Native(cache="int8"), None),
    "native int8, cache of int8": (Native(cache="int8"), Quantization()),
    "onnxruntime_genai fp32": (OnnxRuntimeGenai(), None),
    "onnxruntime_genai int8": (OnnxRuntimeGenai(), Quantization()),
    "onnxruntime_genai int4": (OnnxRuntimeGenai(precision="int4"), None),
    "onnxruntime_genai int4_mixed": (OnnxRuntimeGenai(precision="int4_mixed"), None),
}


def main() -> None:
    (data,) = (argument for argument in sys.argv[1:] if "=" not in argument)
    settings = dict(argument.split("=") for argument in sys.argv[1:] if "=" in argument)
    for skipped in filter(None, settings.get("skip", "").split(",")):
        del VARIANTS[skipped]
    length, new, rounds = (
        int(settings.get(name, usual)) for name, usual in (("prompt", 32), ("new", 64), ("rounds", 10))
    )
    characters = int(settings.get("characters", 20_000))
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        model, tokenizer = SmolLm2()(LanguageModel().outputs, [])
        ids = np.array(tokenizer.encode(Path(data).read_text(encoding="utf-8")[:characters]).ids)
        decoders, megabytes = load_all(model, tokenizer, Path(settings.get("folder", scratch)))
        times = measure(decoders, ids[:length], Greedy(max_tokens=new, min_tokens=new), rounds)
        perplexities = {name: perplexity(decoder, ids) for name, decoder in decoders.items()}
    title = f"SmolLM2-135M, prompt {length}, {new} written; perplexity of {len(ids)} tokens of {Path(data).parent.name}"
    show(title, times, perplexities, megabytes)


def load_all(model: torch.nn.Module, tokenizer: object, folder: Path) -> tuple[dict[str, Decoder], dict[str, float]]:
    """Variant → its decoder, and how large its artifact is, MB; artifacts that lie in `folder` are used."""
    task, decoders, megabytes = LanguageModel().described(), {}, {}
    for name, (backend, quantization) in VARIANTS.items():
        target = folder / name.replace(" ", "-")
        manifest = Manifest(name, backend.name, model.spec, task, ("input_ids", "attention_mask"), 1024)
        try:
            if lacking := backend.missing():
                raise MillisError(lacking)
            if not target.is_dir():
                write_artifact(target, model, tokenizer, backend, manifest, quantization)
        except MillisError as error:
            print(f"{name} is left out: {error}")
            continue
        written = open_manifest(target)
        decoders[name] = backends.module(backend.name).load(target, written, 1)
        megabytes[name] = size_bytes(written) / 1e6
    return decoders, megabytes


def perplexity(decoder: Decoder, ids: np.ndarray) -> float:
    """Of the tokens of every window but its first."""
    nats, count = 0.0, 0
    for start in range(0, len(ids) - 1, WINDOW):
        window = ids[None, start : start + WINDOW].astype(np.int64)
        logits = decoder(Features(window, np.ones_like(window), None))[0][0, :-1].astype(np.float64)
        logits -= logits.max(axis=1, keepdims=True)
        chosen = logits[np.arange(len(logits)), window[0, 1:]]
        nats += float((np.log(np.exp(logits).sum(axis=1)) - chosen).sum())
        count += len(chosen)
    return float(np.exp(nats / count))


def show(title: str, times: dict, perplexities: dict[str, float], megabytes: dict[str, float]) -> None:
    columns = ("runtime", "first token ms", "× eager", "ms a token", "× eager", "MB", "perplexity")
    with Table(*columns, title=title) as table:
        for name, both in times.items():
            cells = []
            for taken, reference in zip(both, times[REFERENCE], strict=True):
                ratio = float(np.median([theirs / ours for theirs, ours in zip(reference, taken, strict=True)]))
                cells += [f"{np.median(taken):.3g}", f"{ratio:.2f}"]
            table.row(name, *cells, f"{megabytes[name]:.1f}", f"{perplexities[name]:.2f}")


if __name__ == "__main__":
    main()
