"""Artifacts in one archive answer as those in plain files do, to the last bit, on every backend that reads archives."""

import numpy as np
import pytest

from millis.backends.eager import Eager
from millis.backends.native import Native
from millis.backends.onnxruntime import OnnxRuntime
from millis.errors import MillisError
from millis.quantization.spec import Calibration, Quantization
from millis.serving.runner import load
from millis.storage.archive import Archive
from millis.storage.archived import FILE_NAME, Archived
from millis.storage.manifest import open_manifest, seal, size_bytes
from millis.types import Features

pytest.importorskip("zstandard", reason="the storage extra is not installed")
pytest.importorskip("lz4", reason="the storage extra is not installed")
ARCHIVED = Archived(bandwidth_mb_per_s=1, codecs=("zstd",), lossy=())
TEXTS = ["a", "b c", "", "a b c d e f g h", "h h h", "g a"]
BATCH = [Features(np.array([[2, 4, 5, 3]]), np.ones((1, 4), np.int64), None)]
RECIPES = {
    "fp32": None,
    "dynamic": Quantization(),
    "static": Quantization(activations="static", calibration=Calibration()),
    "int8 weights": Quantization(activations="none", block_size=16),
    "int4 weights": Quantization(weights=4, activations="none", block_size=16),
    "fp32 tables": Quantization(keep=("vectors",)),
}


@pytest.mark.parametrize(
    ("backend", "recipe"),
    [
        *((Eager(), recipe) for recipe in ("fp32", "dynamic")),
        *((Native(), recipe) for recipe in ("fp32", "dynamic", "fp32 tables")),
        (Native("bf16"), "fp32"),
        *((OnnxRuntime(), recipe) for recipe in RECIPES),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_answers_are_the_same_to_the_last_bit(write, large, backend, recipe):
    if lacking := backend.missing():
        pytest.skip(f"{backend.name}: {lacking}")
    quantization = RECIPES[recipe]
    calibration = BATCH if quantization is not None and quantization.calibrates else ()
    folder = write(backend, quantization, model=large, calibration=calibration)
    plain = load(folder).logits(TEXTS)
    before = size_bytes(open_manifest(folder))
    folder = write(backend, quantization, model=large, calibration=calibration, storage=ARCHIVED)
    for threads in (1, 2):
        assert np.array_equal(load(folder, threads).logits(TEXTS), plain)
    manifest = open_manifest(folder)
    assert list(manifest.files) == [FILE_NAME]
    assert manifest.storage == {"bytes_before": before, "notes": []}
    assert size_bytes(manifest) == (folder / FILE_NAME).stat().st_size < before


def test_weights_lie_by_themselves(write, large):
    entries = Archive(write(OnnxRuntime(), Quantization(), model=large, storage=ARCHIVED) / FILE_NAME).entries
    assert {"model.onnx", "tokenizer.json"} < set(entries)
    (table,) = [entry for name, entry in entries.items() if name.startswith("model.onnx#vectors")]
    assert (table.dtype, table.shape) == ("|u1", (12, 128))


def test_a_changed_archive_is_refused_whether_or_not_the_manifest_is_asked(write, large):
    folder = write(OnnxRuntime(), model=large, storage=ARCHIVED)
    path = folder / FILE_NAME
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)
    with pytest.raises(MillisError, match=r"weights.millis does not match its checksum. Copy or make it again"):
        load(folder)
    with pytest.raises(
        MillisError, match=r"archive .*weights.millis is damaged: tensor 'tokenizer.json' does not match"
    ):
        load(folder, verify=False)


@pytest.mark.parametrize("backend", [Eager(), OnnxRuntime()], ids=lambda backend: backend.name)
def test_a_truncated_archive_is_refused(write, large, backend):
    folder = write(backend, model=large, storage=ARCHIVED)
    path = folder / FILE_NAME
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(MillisError, match=r"weights.millis is damaged: it was cut short"):
        load(folder, verify=False)


def test_an_artifact_without_a_tokenizer(write, manifest, static):
    folder = write(Eager())
    (folder / "tokenizer.json").unlink()
    seal(folder, manifest(backend="eager", spec=static.spec))
    with pytest.raises(
        MillisError, match=r"cannot read .*tokenizer.json: No such file or directory. Make the artifact"
    ):
        load(folder)


def test_a_backend_that_reads_no_archive(write):
    class Other:
        name = "other"

        def write(self, model, folder, inputs, quantization, calibration=()):
            return ()

    message = "backend=other reads its own files and no archive. Choose storage=none, or backend=onnxruntime or eager"
    with pytest.raises(MillisError, match=message):
        write(Other(), storage=ARCHIVED)
