"""What do few bits cost a language model? Perplexity of SmolLM2-135M, rounded to the nearest, by GPTQ, after AWQ.

    python benchmarks/low_bits.py FOLDER [backends=native] [characters=20000] [texts=32] [only=NAME,NAME]

FOLDER has `test.txt` and `train.txt.gz`. Perplexity is of the first characters of the former, in passages of 600, each
read by itself; calibration texts are such passages of the latter, at even distances. What is written is an artifact's
weights, and what is judged is what the backend computes of them, on one thread. MB are the weights'.

Two things to know of this model. Its output matrix is its token table, which GPTQ leaves to the nearest. And its
weights come in 4 bits with a zero point a block (Q4_1); grids without zero points, as here, round them once more.
"""

import gzip
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from math import exp
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import torch
from recipes import divided
from results import Table

from millis import backends
from millis.backends.native import Native
from millis.backends.onnxruntime import OnnxRuntime
from millis.data.passages import Passages
from millis.models.gguf.source import SmolLm2
from millis.models.tokenizer import AnyTokenizer
from millis.quantization.ptq import prepare
from millis.quantization.spec import Awq, Calibration, Gptq, Quantization
from millis.storage.manifest import Manifest
from millis.tasks.language_model import LanguageModel
from millis.types import Features, Session, Signature

NEAREST = Quantization(weights=4, activations="none", block_size=32)
OUTPUT = replace(NEAREST, int8=("head",))
PREPARED = {  # what rounds or scales a model once: the runtimes have the same grids, and the output is not of it
    "AWQ + GPTQ": replace(OUTPUT, awq=Awq(), gptq=Gptq(), calibration=Calibration()),
    "GPTQ": replace(NEAREST, gptq=Gptq(), calibration=Calibration()),
    "AWQ": replace(OUTPUT, awq=Awq(), calibration=Calibration()),
}
VARIANTS = {
    "fp32": None,
    "int8": Quantization(reduce_range=False),
    "4 bits": NEAREST,
    "4 bits + output 8": OUTPUT,
    "4 bits GPTQ": NEAREST,  # of the model that GPTQ rounded
    "4 bits GPTQ + output 8": OUTPUT,
    "4 bits AWQ + output 8": OUTPUT,
    "4 bits AWQ + GPTQ + output 8": OUTPUT,
}
BACKENDS = {backend.name: backend for backend in (Native(), OnnxRuntime())}


def main() -> None:
    own, (folder,) = divided(
        sys.argv[1:], {"backends": "native", "characters": "20000", "texts": "32", "only": ",".join(VARIANTS)}
    )
    torch.set_num_threads(1)
    task = LanguageModel()
    model: Any
    model, words = SmolLm2()(task.outputs, [])
    model.eval()
    words.no_padding()
    words.no_truncation()
    train = gzip.decompress((Path(folder) / "train.txt.gz").read_bytes()).decode()
    passages = cut(train)
    places = np.linspace(0, len(passages) - 1, int(own["texts"])).round().astype(int)
    calibration = [features(words, passages[place]) for place in places]
    judged = cut((Path(folder) / "test.txt").read_text(encoding="utf-8")[: int(own["characters"])])
    title = f"SmolLM2-135M, {own['characters']} characters"
    made, fp32 = dict[str, Any](), 0.0
    with Table("weights", "perplexity", "more", "MB", title=title) as table:
        for name in own["only"].split(","):
            method = next((method for method in PREPARED if method in name), None)
            if method is not None and method not in made:
                start, asked = process_time(), PREPARED[method]
                made[method] = prepare(model, asked, Native().arithmetic(asked), calibration).model
                print(f"{method} took {process_time() - start:.0f} s of one processor", file=sys.stderr)
            chosen = model if method is None else made[method]
            for backend in own["backends"].split(","):
                found, megabytes = measured(chosen, words, backend, VARIANTS[name], judged)
                fp32 = fp32 or found
                table.row(f"{backend} {name}", f"{found:.2f}", f"{100 * (found / fp32 - 1):+.1f} %", f"{megabytes:.0f}")


def cut(document: str) -> list[str]:
    return [text for text, _ in Passages(LanguageModel().passage).cut(document)]


def features(words: AnyTokenizer, text: str) -> Features:
    ids = np.array([words.encode(text).ids], np.int64)
    return Features(ids, np.ones_like(ids), None)


def measured(
    model: Any,
    words: AnyTokenizer,
    name: str,
    quantization: Quantization | None,
    judged: Sequence[str],
) -> tuple[float, float]:
    """Perplexity, and MB of what was written."""
    module, backend = backends.module(name), BACKENDS[name]
    inputs = ("input_ids", "attention_mask")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        backend.write(model, folder, Signature(inputs, model.spec.outputs), quantization)
        task = LanguageModel().described()
        session = module.load(folder, Manifest(name, name, model.spec, task, inputs, 512), 1)
        megabytes = sum(path.stat().st_size for path in folder.iterdir()) / 1e6
        return perplexity(session, words, judged), megabytes


def perplexity(session: Session, words: AnyTokenizer, passages: Sequence[str]) -> float:
    nats, tokens = 0.0, 0
    for passage in passages:
        given = features(words, passage)
        (logits,) = session(given)
        rows = torch.from_numpy(logits[0, :-1]).double().log_softmax(dim=-1)
        chosen = rows.gather(1, torch.from_numpy(given.ids[0, 1:, None]))
        nats -= float(chosen.sum())
        tokens += chosen.numel()
    return exp(nats / tokens)


if __name__ == "__main__":
    main()
