"""Encoder-decoders on every runtime that writes with them, beside a decoder of about as many weights.

    python benchmarks/encoder_decoders.py [source=17] [new=24] [rounds=20]

Weights are untrained (what a token takes does not depend on them), of D 256 and a vocabulary of 8,192: encoder and
decoder of 4+2, 3+3 and 5+1 layers, of which the last two are as `student.layers` and `student.decoder_layers` say,
and a decoder of 8 layers. One thread, all in turn; counted is the CPU time of the process for a whole text, for
CTranslate2 works in a thread of its own, medians over rounds.
"""

import sys
import tempfile
from pathlib import Path
from random import Random
from time import process_time_ns

import numpy as np
import torch
from results import Table

from millis import backends
from millis.backends.artifact import write_artifact
from millis.backends.ctranslate2 import Ctranslate2
from millis.backends.eager import Eager
from millis.backends.native import Native
from millis.backends.onnxruntime import OnnxRuntime
from millis.generation.greedy import Greedy
from millis.generation.writing import Vocabulary
from millis.models.scratch_decoder import ScratchDecoder
from millis.models.scratch_seq2seq import ScratchSeq2seq
from millis.quantization.spec import Quantization
from millis.storage.manifest import Manifest, open_manifest, size_bytes
from millis.tasks.sequence_to_sequence import SequenceToSequence
from millis.types import Decoder

VOCABULARY = 8192
TASK = SequenceToSequence()
MODELS = {
    "decoder 8": ScratchDecoder(8),
    "encoder-decoder 3+3": ScratchSeq2seq(3, 3),
    "encoder-decoder 4+2": ScratchSeq2seq(4, 2),
    "encoder-decoder 5+1": ScratchSeq2seq(5, 1),
}
RUNTIMES = {
    "eager fp32": (Eager(), None),
    "onnxruntime fp32": (OnnxRuntime(), None),
    "onnxruntime int8": (OnnxRuntime(), Quantization()),
    "ctranslate2 fp32": (Ctranslate2(), None),
    "ctranslate2 int8": (Ctranslate2(), Quantization()),
    "native int8": (Native(), Quantization()),
}
EACH = {"encoder-decoder": ("native",), "decoder": ("ctranslate2",)}  # what does not run which


def main() -> None:
    settings = dict(argument.split("=") for argument in sys.argv[1:])
    source, new, rounds = (
        int(settings.get(name, usual)) for name, usual in (("source", 17), ("new", 24), ("rounds", 20))
    )
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        decoders, megabytes = load_all(Path(scratch))
        prompt = np.array([1, *range(300, 299 + source), 3])
        times = measure(decoders, prompt, Greedy(max_tokens=new, min_tokens=new), rounds)
    columns = ("model", "runtime", "CPU ms a text", "× decoder eager", "MB")
    title = f"untrained, D 256, V {VOCABULARY}: {source} tokens read, {new} written"
    reference = times[next(iter(times))]
    with Table(*columns, title=title) as table:
        for name, taken in times.items():
            ratio = np.median([theirs / ours for theirs, ours in zip(reference, taken, strict=True)])
            table.row(*name.split(", "), f"{np.median(taken):.3g}", f"{ratio:.2f}", f"{megabytes[name]:.1f}")


def measure(decoders: dict[str, Decoder], prompt: np.ndarray, choice: Greedy, rounds: int) -> dict[str, list[float]]:
    """Name → CPU time of each round's text, ms."""
    found: dict[str, list[float]] = {name: [] for name in decoders}
    for turn in range(rounds + 1):
        for name in Random(turn).sample(list(decoders), len(decoders)):
            start = process_time_ns()
            choice.begin(decoders[name], prompt, Vocabulary((), str)).finish()
            if turn:  # the first round warms up
                found[name].append((process_time_ns() - start) / 1e6)
    return found


def load_all(folder: Path) -> tuple[dict[str, Decoder], dict[str, float]]:
    """Model and runtime → its decoder, and how large its artifact is, MB."""
    words = [" ".join(f"{number:x}" for number in range(start, start + 400)) for start in range(0, 60_000, 400)]
    decoders, megabytes = {}, {}
    for model_name, make in MODELS.items():
        torch.manual_seed(0)
        model, tokenizer = make(TASK.outputs, [(text, text) for text in words])
        for runtime, (backend, quantization) in RUNTIMES.items():
            if backend.name in EACH[model_name.split(" ")[0]]:
                continue
            target = folder / f"{model_name}-{runtime}".replace(" ", "-")
            manifest = Manifest(
                "benchmark", backend.name, model.spec, TASK.described(), ("input_ids", "attention_mask"), 256
            )
            write_artifact(target, model.eval(), tokenizer, backend, manifest, quantization)
            written = open_manifest(target)
            name = f"{model_name}, {runtime}"
            decoders[name] = backends.module(backend.name).load(target, written, 1)
            megabytes[name] = size_bytes(written) / 1e6
    return decoders, megabytes


if __name__ == "__main__":
    main()
