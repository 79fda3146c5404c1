"""How fast do runtimes write? Time to the first token and time a token, after prompts of some lengths, in turns.

    python benchmarks/decoders.py [layers=6] [hidden=384] [ffn=1024] [vocabulary=8192] [prompts=32,436] [new=64]
        [rounds=10] [skip=NAME,NAME]

A Llama whose heads of 64 share keys and values in threes, with a tied table; weights are untrained, for speed does not
depend on them. In each round every runtime writes one text greedily, in an order that is drawn anew, on one thread. To
the first token: an empty continuation, the prompt, and the choice. A token: the median of the others. Told are
tenth percentiles over rounds, and their ratios to eager's; time in which another process had the CPU is not counted.
Backends that cannot write this model here are left out.
"""

import sys
import tempfile
from itertools import pairwise
from pathlib import Path
from random import Random
from statistics import median
from time import perf_counter_ns

import numpy as np
import torch
from results import Table

from millis import backends, models
from millis.backends.artifact import write_artifact
from millis.backends.eager import Eager
from millis.backends.native import Native
from millis.backends.onnxruntime import OnnxRuntime
from millis.errors import MillisError
from millis.generation.greedy import Greedy
from millis.generation.writing import Vocabulary
from millis.models import byte_pairs
from millis.models.spec import Spec
from millis.quantization.spec import Quantization
from millis.storage.manifest import Manifest, open_manifest, size_bytes
from millis.tasks.language_model import LanguageModel
from millis.traits import WRITES, has
from millis.types import Decoder
from millis.waiting import waited_ns


def blocks(bits: int, size: int) -> Quantization:
    return Quantization(weights=bits, activations="none", block_size=size)


REFERENCE = "eager fp32"
VARIANTS = {
    REFERENCE: (Eager(), None),
    "eager int8": (Eager(), Quantization()),
    "onnxruntime fp32": (OnnxRuntime(), None),
    "onnxruntime int8": (OnnxRuntime(), Quantization()),
    "onnxruntime int8 weights": (OnnxRuntime(), blocks(8, 32)),
    "onnxruntime int8 weights, blocks of 128": (OnnxRuntime(), blocks(8, 128)),
    "onnxruntime int4 weights": (OnnxRuntime(), blocks(4, 32)),
    "onnxruntime int4 weights, blocks of 128": (OnnxRuntime(), blocks(4, 128)),
    "native fp32": (Native(), None),
    "native int8": (Native(), Quantization()),
    "native fp32, cache of int8": (Native(cache="int8"), None),
    "native int8, cache of int8": (Native(cache="int8"), Quantization()),
}
HEAD = 64
GROUPS = 3
SIZES = {"layers": 6, "hidden": 384, "ffn": 1024, "vocabulary": 8192}


def main() -> None:
    settings = dict(argument.split("=") for argument in sys.argv[1:])
    prompts = [int(length) for length in settings.pop("prompts", "32,436").split(",")]
    new, rounds = int(settings.pop("new", "64")), int(settings.pop("rounds", "10"))
    for skipped in filter(None, settings.pop("skip", "").split(",")):
        del VARIANTS[skipped]
    sizes = SIZES | {name: int(value) for name, value in settings.items()}
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        spec = llama(**sizes, context=max(prompts) + new)
        decoders, megabytes = load_all(spec, Path(scratch))
        millions = sum(parameter.numel() for parameter in models.build(spec).parameters()) / 1e6
        for length in prompts:
            title = f"Llama {sizes['layers']} x {sizes['hidden']}, {millions:.1f} M, prompt {length}, {new} written"
            prompt = np.random.default_rng(0).integers(0, sizes["vocabulary"], length)
            times = measure(decoders, prompt, Greedy(max_tokens=new), rounds)
            show(title, times, megabytes)


def llama(layers: int, hidden: int, ffn: int, vocabulary: int, context: int) -> Spec:
    """Of a decoder with a tied table."""
    heads = hidden // HEAD
    encoder = {
        "model_type": "llama", "vocab_size": vocabulary, "num_hidden_layers": layers, "hidden_size": hidden,
        "num_attention_heads": heads, "num_key_value_heads": heads // GROUPS, "head_dim": HEAD,
        "intermediate_size": ffn, "max_position_embeddings": context, "rms_norm_eps": 1e-6,
    }  # fmt: skip
    return models.read(
        {
            "family": "transformer",
            "encoder": encoder,
            "shape": {"head_size": HEAD, "heads": [heads] * layers, "ffn": [ffn] * layers},
            "pooling": "mean",
            "dropout": 0.0,
            "tied": True,
            "outputs": [["next", "token", vocabulary, "next"]],
        }
    )


def load_all(spec: Spec, folder: Path) -> tuple[dict[str, Decoder], dict[str, float]]:
    """Variant → its decoder, and how large its artifact is, MB."""
    torch.manual_seed(0)
    model, tokenizer = models.build(spec).eval(), byte_pairs.train(["a b"], byte_pairs.SMALLEST + 1)
    task, decoders, megabytes = LanguageModel().described(), {}, {}
    for name, (backend, quantization) in VARIANTS.items():
        target = folder / name.replace(" ", "-")
        manifest = Manifest(name, backend.name, spec, task, ("input_ids", "attention_mask"), 256)
        try:
            if lacking := backend.missing():
                raise MillisError(lacking)
            if not has(backend, WRITES):
                raise MillisError("it does not write token by token")
            write_artifact(target, model, tokenizer, backend, manifest, quantization)
        except MillisError as error:
            print(f"{name} is left out: {error}")
            continue
        written = open_manifest(target)
        decoders[name] = backends.module(backend.name).load(target, written, 1)
        megabytes[name] = size_bytes(written) / 1e6
    return decoders, megabytes


def measure(
    decoders: dict[str, Decoder], prompt: np.ndarray, choice: Greedy, rounds: int
) -> dict[str, tuple[list[float], list[float]]]:
    """Name → each round's ms to the first token, and ms a token of the others."""
    found: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in decoders}
    for turn in range(rounds + 1):
        for name in Random(turn).sample(list(decoders), len(decoders)):
            start = clock()
            writing = choice.begin(decoders[name], prompt, Vocabulary((), str))
            first = clock()
            ends = [first]
            while writing.ended is None:
                writing.step()
                ends.append(clock())
            if turn:  # the first round warms up
                found[name][0].append((first - start) / 1e6)
                found[name][1].append(median(after - before for before, after in pairwise(ends)) / 1e6)
    return found


def clock() -> int:
    """Nanoseconds, without those in which another process had the CPU."""
    return perf_counter_ns() - waited_ns()


def show(title: str, times: dict[str, tuple[list[float], list[float]]], megabytes: dict[str, float]) -> None:
    with Table("runtime", "first token ms", "× eager", "ms a token", "× eager", "MB", title=title) as table:
        for name, both in times.items():
            cells = []
            for taken, reference in zip(both, times[REFERENCE], strict=True):
                ours, theirs = (float(np.percentile(one, 10)) for one in (taken, reference))
                cells += [f"{ours:.3g}", f"{theirs / ours:.2f}"]
            table.row(name, *cells, f"{megabytes[name]:.1f}")


if __name__ == "__main__":
    main()
