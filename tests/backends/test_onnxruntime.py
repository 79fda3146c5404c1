import sys

import pytest

from millis.backends.onnxruntime import FILE_NAME, OnnxRuntime
from millis.backends.runner import load
from millis.errors import MillisError
from millis.storage.manifest import open_manifest, seal


def test_a_missing_runtime_names_the_extra(write, monkeypatch):
    folder = write(OnnxRuntime())
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MillisError, match=r"this artifact runs on ONNX Runtime: pip install 'millis\[onnx\]'"):
        load(folder)


def test_a_damaged_graph_is_refused(write):
    folder = write(OnnxRuntime())
    (folder / FILE_NAME).write_bytes(b"not a graph")
    seal(folder, open_manifest(folder, verify=False))
    with pytest.raises(MillisError, match=r"ONNX Runtime cannot open .*model.onnx: .* Make the artifact again"):
        load(folder)


def test_two_threads_give_the_same_answers(write):
    folder = write(OnnxRuntime())
    one, two = (load(folder, threads).logits(["a b c", "d"]) for threads in (1, 2))
    assert one == pytest.approx(two, abs=1e-6)
