"""What do weights of 7 bits cost, and what do 8 that saturate? A teacher in int8 against fp32, on this processor.

    python benchmarks/saturation.py [texts=800] data=local data.path=FOLDER ...

Share of test texts with the label that fp32 gives them, and the mean cosine of the logits. On processors whose sums of
u8 x s8 products are exact (`millis.quantization.processor`) the columns say what rounding alone costs.
"""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from results import Table

from millis.backends.onnx.export import export
from millis.backends.onnx.session import open_session
from millis.cli.hydra_app import composed
from millis.cli.recipes import run_of
from millis.quantization.calibration import sample
from millis.quantization.processor import saturates
from millis.quantization.spec import Calibration, Quantization
from millis.types import Features

STATIC: dict[str, Any] = {"activations": "static", "calibration": Calibration()}
KINDS: dict[str, dict[str, Any]] = {
    "dynamic, per channel": {},
    "static, per channel": STATIC,
    "static, smoothed": {**STATIC, "smooth": 0.5},
    "dynamic, per tensor": {"per_channel": False},
}


def main() -> int:
    own = next((a.removeprefix("texts=") for a in sys.argv[1:] if a.startswith("texts=")), "800")
    overrides = [argument for argument in sys.argv[1:] if not argument.startswith("texts=")]
    teacher = run_of(composed("compress", ["logger=none", *overrides])).teacher
    splits = teacher.inputs.dataset
    tested = sample(teacher.encoded(splits.test), int(own))
    calibration = sample(teacher.encoded(splits.train), Calibration().texts)
    signature = teacher.manifest.signature
    print(f"products saturate here: {'yes' if saturates() else 'no'}; {len(tested)} test texts")
    columns = ("int8", "8 bits: same label", "cosine", "7 bits: same label", "cosine")
    with tempfile.TemporaryDirectory() as scratch, Table(*columns, title=splits.name) as table:
        path = Path(scratch) / "model.onnx"
        export(teacher.module, path, signature, None)
        expected = logits(path, tested)
        for name, kind in KINDS.items():
            cells = []
            for reduced in (False, True):
                export(teacher.module, path, signature, Quantization(**kind, reduce_range=reduced), calibration)
                cells += compared(expected, logits(path, tested))
            table.row(name, *cells)
    return 0


def logits(path: Path, requests: Sequence[Features]) -> NDArray[np.float32]:
    """[N, C], one text at a time."""
    session = open_session(path, threads=1)
    return np.concatenate([session(request)[0] for request in requests])


def compared(expected: NDArray[np.float32], found: NDArray[np.float32]) -> list[str]:
    """Share of equal labels and mean cosine."""
    same = (expected.argmax(axis=1) == found.argmax(axis=1)).mean()
    lengths = np.linalg.norm(expected, axis=1) * np.linalg.norm(found, axis=1)
    return [f"{100 * same:.1f} %", f"{((expected * found).sum(axis=1) / lengths).mean():.5f}"]


if __name__ == "__main__":
    sys.exit(main())
