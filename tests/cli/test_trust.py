"""Artifacts of machine code: no command loads one unless it is said that its maker is trusted."""

import numpy as np
import pytest
from signatures import answering
from tiny import millis, write_data
from tokenizers import Tokenizer, models

from millis.backends import inductor
from millis.errors import MillisError
from millis.models import read
from millis.pipeline import artifacts
from millis.serving import cascade
from millis.storage.manifest import Manifest, open_manifest, seal

LABELS = ("cancel", "refund", "track")


SPEC = read({"family": "static", "vocab_size": 1, "size": 2, "dropout": 0.0, "num_labels": len(LABELS)})


@pytest.fixture
def ran(monkeypatch):
    """What code was run: opening a package is running it."""
    opened = []

    def run(path, threads):
        opened.append(path)
        return lambda features: (np.array([[0, 1, 0]], np.float32),)

    monkeypatch.setattr(inductor, "_open", run)
    return opened


@pytest.fixture
def compiled(tmp_path):
    folder = tmp_path / "compiled"
    folder.mkdir()
    (folder / inductor.FILE_NAME).write_bytes(b"native code")
    Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]")).save(str(folder / "tokenizer.json"))
    inputs = ("input_ids", "attention_mask")
    seal(folder, Manifest("a harmless classifier", "inductor", SPEC, answering(*LABELS), inputs, 8))
    return folder


@pytest.fixture(params=["alone", "member"])
def artifact(request, compiled, tmp_path):
    if request.param == "alone":
        return compiled
    members = dict.fromkeys(cascade.MEMBERS, (compiled, open_manifest(compiled)))
    cascade.write(tmp_path / "both", members, "two harmless classifiers", threshold=0.5)
    return tmp_path / "both"


def test_predict_asks_before_code_runs(artifact, ran, tmp_path, capsys):
    assert millis(tmp_path, "predict", f"artifact={artifact}", "--", "hello") == 1
    assert "machine code (backend=inductor)" in (told := capsys.readouterr().err)
    assert "trust_code=true" in told
    assert ran == []
    assert millis(tmp_path, "predict", f"artifact={artifact}", "trust_code=true", "--", "hello") == 0
    assert "refund" in capsys.readouterr().out
    assert len(ran) >= 1


def test_benchmark_asks_before_code_runs(artifact, ran, tmp_path, capsys, monkeypatch):
    write_data(tmp_path / "data")
    asked = [f"artifacts=[{artifact}]", "data=local", f"data.path={tmp_path / 'data'}"]
    assert millis(tmp_path, "benchmark", *asked) == 1
    assert "trust_code=true" in capsys.readouterr().err
    assert ran == []

    def measure(*_):
        raise MillisError("on to the processes that time it")

    monkeypatch.setattr(artifacts, "measure", measure)
    assert millis(tmp_path, "benchmark", *asked, "trust_code=true") == 1
    assert "on to the processes that time it" in capsys.readouterr().err


def test_cascade_asks_before_code_runs(compiled, ran, tmp_path, capsys):
    write_data(tmp_path / "data")
    members = [f"fast={compiled}", f"accurate={compiled}", "data=local", f"data.path={tmp_path / 'data'}"]
    assert millis(tmp_path, "cascade", *members) == 1
    assert "trust_code=true" in capsys.readouterr().err
    assert ran == []
