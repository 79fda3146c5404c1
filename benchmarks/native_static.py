"""Would ranges fixed beforehand serve `backend=native`? ONNX Runtime's static int8 beside rows rounded one by one.

    python benchmarks/native_static.py FOLDER [FOLDER ...] [train=4000] [test=2000] [rounds=30]

Models, texts and agreement with fp32 as in `native_agreement.py`; ranges come from 128 training texts, as
`quantization=static` has them (extremes, and percentiles of 99.99). Then every runtime answers requests of 8, 32 and
128 tokens in turns, as in `native.py`: medians over rounds, end to end, and the median of the rounds' ratios to native.
"""

import sys
import tempfile
from pathlib import Path
from statistics import median

import torch
from native_agreement import agreement, as_artifact, prepared
from results import Table

from millis.backends.native import Native
from millis.backends.onnxruntime import OnnxRuntime
from millis.data.dataset import Dataset
from millis.data.local import Local
from millis.quantization.spec import Calibration, Quantization
from millis.serving.runner import load
from native import measure

REFERENCE = "native int8, row by row"
STATIC = Quantization(activations="static", reduce_range=False, calibration=Calibration(texts=128))
PERCENTILE = Quantization(
    activations="static", reduce_range=False, calibration=Calibration(method="percentile", texts=128)
)
VARIANTS = {
    REFERENCE: (Native(), Quantization(reduce_range=False)),
    "onnxruntime int8, dynamic": (OnnxRuntime(), Quantization(reduce_range=False)),
    "onnxruntime int8, static": (OnnxRuntime(), STATIC),
    "onnxruntime int8, static, percentiles": (OnnxRuntime(), PERCENTILE),
}
LENGTHS = (8, 32, 128)


def main() -> None:
    folders = [argument for argument in sys.argv[1:] if "=" not in argument]
    settings = dict(argument.split("=") for argument in sys.argv[1:] if "=" in argument)
    sizes = [int(settings.get(name, usual)) for name, usual in (("train", "4000"), ("test", "2000"), ("rounds", "30"))]
    torch.set_num_threads(1)
    for folder in folders:
        with tempfile.TemporaryDirectory() as scratch:
            compare(Local(folder)(), Path(scratch), *sizes)


def compare(dataset: Dataset, scratch: Path, train: int, test: int, rounds: int) -> None:
    """One table of a data set."""
    model, tokenizer, some, texts, expected = prepared(dataset, scratch, train, test)
    vectors = load(scratch / "vectors")
    calibration = [vectors.feed(vectors.tokenize(text)) for text in some.texts[:128]]
    runners = {
        name: as_artifact(scratch / name.replace(" ", "-"), model, tokenizer, dataset, *variant, calibration)
        for name, variant in VARIANTS.items()
    }
    requests = {length: " ".join(["order"] * (length - 2)) for length in LENGTHS}
    times = {length: measure(runners, text, rounds) for length, text in requests.items()}
    heads = [f"{length} tokens: ms, x native's" for length in LENGTHS]
    with Table("runtime", "same label", "cosine", *heads, title=f"{dataset.name}, {len(texts)} texts") as table:
        for name, runner in runners.items():
            cells = [told(times[length][REFERENCE][0], times[length][name][0]) for length in LENGTHS]
            table.row(name, *agreement(runner.logits(texts), expected), *cells)


def told(reference: list[float], ours: list[float]) -> str:
    """Median milliseconds, and the median of the rounds' ratios."""
    return f"{median(ours):.3f}, {median(one / other for one, other in zip(ours, reference, strict=True)):.2f}"


if __name__ == "__main__":
    main()
