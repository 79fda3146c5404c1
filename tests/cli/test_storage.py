"""`millis compress storage=...`: what is stored is what is measured, and exact storage changes no answer."""

import re
from pathlib import Path

import pytest
from tiny import TINY, millis, write_data

from millis.record import read_records
from millis.serving.runner import load
from millis.storage.archive import Archive
from millis.storage.archived import FILE_NAME
from millis.storage.manifest import open_manifest

pytest.importorskip("zstandard", reason="the storage extra is not installed")
pytest.importorskip("lz4", reason="the storage extra is not installed")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("storage")
    write_data(folder / "data")
    return folder


def compressed(place, capsys, *overrides):
    """The record of a student of one layer."""
    common = [*TINY, f"data.path={place / 'data'}", "student.layers=1", "quantization=dynamic"]
    assert millis(place, "compress", *common, *overrides) == 0
    output = capsys.readouterr().out
    return read_records(Path(re.search(r"records: (\S+)", output)[1]))[-1], output


def test_exact_storage_changes_bytes_alone(place, capsys):
    plain, _ = compressed(place, capsys)
    stored, _ = compressed(place, capsys, "storage=archive", "budget.size_bytes=1")
    assert stored.name == f"{plain.name} archive"
    assert stored.predictions == plain.predictions
    assert stored.parity == plain.parity
    archive = Path(stored.artifact) / FILE_NAME
    assert stored.metrics["size_bytes"] == archive.stat().st_size < plain.metrics["size_bytes"]
    assert open_manifest(Path(stored.artifact)).storage["bytes_before"] == plain.metrics["size_bytes"]


def test_a_size_that_only_training_can_tell_is_judged_after_it(place, capsys):
    _, output = compressed(place, capsys, "storage=archive", "budget.size_bytes=1")
    assert "over budget: size by" in output
    assert "before training" not in output


def test_the_smallest_storage_is_lossy_and_says_so(place, capsys):
    stored, output = compressed(place, capsys, "storage=smallest", "quantization.keep=[encoder.embeddings]")
    assert "int4 tables shared 4" in stored.name
    assert "1 tables have 4 bits" in output and "share 16 values each" in output
    found = {entry.encoding for entry in Archive(Path(stored.artifact) / FILE_NAME).entries.values()}
    assert {"grid", "codebook"} <= found
    assert load(stored.artifact).predict("where is my parcel").label


def test_tables_that_quantization_took_first(place, capsys):
    common = [*TINY, f"data.path={place / 'data'}", "student.layers=1", "quantization=dynamic", "storage=smallest"]
    assert millis(place, "compress", *common) == 1
    error = capsys.readouterr().err
    assert "is no fp32 matrix of this artifact" in error and "quantization.keep" in error and "Traceback" not in error
