"""How fast does a small decoder write, on millis' own kernels and elsewhere? Same weights, in turns, one thread.

    python benchmarks/native_decoder.py [genai=PYTHON] [layers=6] [hidden=384] [vocabulary=8192] [prompt=32] [new=64]
        [rounds=15] [sets=avx512_vnni,avx2]

Weights are untrained, for latency does not depend on them: a Llama with heads of 64, a third of them for keys and
values, and a tied output matrix. In each round every runtime reads a prompt and writes greedily, in an order that is
drawn anew. Times are the processor's, which leave out what else runs beside; one thread waits for nothing. Told are
tenth percentiles over rounds: of the time to the first token, and of the median time of a token after it.
PYTHON is one that has onnxruntime-genai, which is compared with where it is given: `python -m venv genai &&
genai/bin/pip install onnxruntime-genai transformers torch onnx onnx-ir`; its int8 and int4 are weights in blocks of
32.
"""

import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median
from time import process_time_ns
from typing import Any

import numpy as np
import torch
from results import Table

from millis import models
from millis.backends.eager_decoder import EagerDecoder
from millis.backends.native import FILE_NAME, Native
from millis.backends.plan import file
from millis.backends.plan.continuation import PlanDecoder
from millis.backends.plan.library import FORCED
from millis.models.spec import Spec
from millis.quantization.spec import Quantization
from millis.types import Decoder, Signature

HEAD = 64
BLOCKS = Quantization(weights=4, activations="none", block_size=32)
WORKER = Path(__file__).with_name("genai_worker.py")
Write = Callable[[Sequence[int], int], list[float]]
"""A prompt's tokens and how many to write → milliseconds to the first, and of each after it."""


def main() -> None:
    settings = dict(argument.split("=", 1) for argument in sys.argv[1:])
    sets, rounds = settings.get("sets", "avx512_vnni,avx2").split(","), int(settings.get("rounds", "15"))
    layers, hidden, vocabulary, prompt, new = (
        int(settings.get(name, usual))
        for name, usual in (("layers", 6), ("hidden", 384), ("vocabulary", 8192), ("prompt", 32), ("new", 64))
    )
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model: Any = models.build(spec(layers, hidden, vocabulary)).eval()
    weights = sum(parameter.numel() for parameter in model.parameters())
    title = f"{layers} x {hidden}, {weights / 1e6:.1f}M weights: a prompt of {prompt} tokens, {new} new"
    columns = ("runtime", "first token ms", "a token ms", "tokens a second", "x eager")
    with tempfile.TemporaryDirectory() as scratch, Table(*columns, title=title) as table:
        writers = {"eager fp32": loop(EagerDecoder(model)), **natives(model, Path(scratch), sets)}
        if "genai" in settings:
            writers |= genais(model, Path(scratch), settings["genai"])
        times = measure(writers, [*range(3, 3 + prompt)], new, rounds)
        eager = told(times["eager fp32"])
        for name, taken in times.items():
            first, each = told(taken)
            table.row(name, f"{first:.2f}", f"{each:.3f}", f"{1e3 / each:.0f}", f"{eager[1] / each:.1f}x")


def told(rounds: list[list[float]]) -> tuple[float, float]:
    """The first token's time, and that of each after it: the median of a round's, the tenth percentile over rounds."""
    first, each = [one[0] for one in rounds], [median(one[1:]) for one in rounds]
    return float(np.percentile(first, 10)), float(np.percentile(each, 10))


def spec(layers: int, hidden: int, vocabulary: int) -> Spec:
    heads, neurons = hidden // HEAD, hidden * 8 // 3 // 64 * 64
    encoder = {
        "model_type": "llama", "vocab_size": vocabulary, "hidden_size": hidden, "num_hidden_layers": layers,
        "num_attention_heads": heads, "num_key_value_heads": heads // 3, "head_dim": HEAD, "intermediate_size": neurons,
        "max_position_embeddings": 1024, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0,
    }  # fmt: skip
    return models.read({
        "family": "transformer", "encoder": encoder, "pooling": "mean", "dropout": 0.0, "affixes": [[], []],
        "shape": {"head_size": HEAD, "heads": [heads] * layers, "ffn": [neurons] * layers}, "tied": True,
        "outputs": [["next", "token", vocabulary, "next"]],
    })  # fmt: skip


def natives(model: Any, folder: Path, sets: Sequence[str]) -> dict[str, Write]:
    """Of each instruction set; weights of 7 bits where products of more saturate, as is usual."""
    found = {}
    for name in sets:
        kinds = {"int8": Quantization(reduce_range=name == "avx2"), "int4": BLOCKS, "bf16": None, "fp32": None}
        for kind, quantization in kinds.items():
            place = folder / f"{kind}-{name}"
            place.mkdir()
            signature = Signature(("input_ids", "attention_mask"), model.spec.outputs)
            os.environ[FORCED] = name
            Native("bf16" if kind == "bf16" else "fp32").write(model, place, signature, quantization)
            found[f"native {kind} {name}"] = loop(PlanDecoder(file.read(place / FILE_NAME)))
            del os.environ[FORCED]
    return found


def loop(decoder: Decoder) -> Write:
    def write(prompt: Sequence[int], count: int) -> list[float]:
        moments = [process_time_ns()]
        text = decoder.begin(len(prompt) + count)
        logits = text.read(np.array(prompt, np.int64))
        for _ in range(count):
            token = logits[0].argmax()
            moments.append(process_time_ns())
            logits = text.read(np.array([token], np.int64))
        return [(after - before) / 1e6 for before, after in pairwise(moments)]

    return write


def genais(model: Any, folder: Path, python: str) -> dict[str, Write]:
    source = checkpoint(model, folder / "checkpoint")
    found = {}
    for kind in ("int8", "int4"):
        made = folder / f"genai-{kind}"
        builder: list[Any] = [
            python,
            "-m",
            "onnxruntime_genai.models.builder",
            "-i",
            source,
            "-o",
            made,
            "-p",
            kind,
            "-e",
            "cpu",
        ]
        subprocess.run(builder, check=True, capture_output=True)
        described = json.loads((made / "genai_config.json").read_text())
        described["model"]["decoder"]["session_options"]["intra_op_num_threads"] = 1
        (made / "genai_config.json").write_text(json.dumps(described))
        found[f"onnxruntime-genai {kind}"] = asked(python, made)
    return found


def checkpoint(model: Any, folder: Path) -> Path:
    """The weights as transformers has them, with a tokenizer, which the builder copies."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    whole = LlamaForCausalLM(LlamaConfig(**model.spec.encoder, tie_word_embeddings=True))
    whole.model.load_state_dict(model.encoder.state_dict())
    whole.save_pretrained(folder)
    words = Tokenizer(WordLevel({f"w{i}": i for i in range(model.spec.encoder["vocab_size"])}, unk_token="w0"))
    PreTrainedTokenizerFast(tokenizer_object=words, unk_token="w0").save_pretrained(folder)
    return folder


def asked(python: str, folder: Path) -> Write:
    """A process that writes when it is asked, and waits else."""
    worker = subprocess.Popen(
        [python, WORKER, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    assert worker.stdin is not None
    assert worker.stdout is not None
    assert json.loads(worker.stdout.readline()) == "ready"
    into, out = worker.stdin, worker.stdout

    def write(prompt: Sequence[int], count: int) -> list[float]:
        into.write(json.dumps([list(prompt), count]) + "\n")
        times: list[float] = json.loads(out.readline())
        return times

    return write


def measure(writers: dict[str, Write], prompt: Sequence[int], new: int, rounds: int) -> dict[str, list[list[float]]]:
    """Name → each round's times."""
    found: dict[str, list[list[float]]] = {name: [] for name in writers}
    order = list(writers)
    for turn in range(rounds + 1):
        random.Random(turn).shuffle(order)
        for name in order:
            writers[name](prompt, 3)  # what another runtime has put out of the caches comes back
            taken = writers[name](prompt, new)
            if turn > 0:
                found[name].append(taken)
    return found


if __name__ == "__main__":
    main()
