import sys
from pathlib import Path

import onnxruntime
import pytest

from millis.backends.onnxruntime import OnnxRuntime, _session_options, open_session
from millis.errors import MillisError
from millis.quantization.spec import Quantization
from millis.serving.runner import load
from millis.storage.manifest import open_manifest

STOP, ALLOW = "session.force_spinning_stop", "session.intra_op.allow_spinning"


def test_a_missing_runtime_names_the_extra(write, monkeypatch):
    folder = write(OnnxRuntime())
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MillisError, match=r"this artifact runs on ONNX Runtime: pip install 'millis\[onnx\]'"):
        load(folder)
    assert OnnxRuntime().missing() == "onnxruntime is not installed: pip install 'millis[onnx]'"


@pytest.mark.parametrize(("spinning", "entries"), [("request", {STOP: "1"}), ("never", {ALLOW: "0"}), ("always", {})])
def test_spinning_reaches_the_session(spinning, entries):
    options = _session_options(2, OnnxRuntime(spinning=spinning))
    found = {}
    for key in (STOP, ALLOW):
        try:
            found[key] = options.get_session_config_entry(key)
        except RuntimeError:  # it was never set
            continue
    assert found == entries


def test_affinity_reaches_the_session_counted_from_one():
    options = _session_options(3, OnnxRuntime(affinity=[1, 0]))
    assert options.get_session_config_entry("session.intra_op_thread_affinities") == "2;1"


def test_options_are_kept_in_the_manifest_and_served(write):
    folder = write(OnnxRuntime(spinning="never", affinity=(0,)))
    assert open_manifest(folder).options == {"spinning": "never", "affinity": [0], "device": "cpu"}
    assert load(folder, threads=1).predict("a b").label in ("no", "yes")  # one thread: nobody to place
    with pytest.raises(MillisError, match=r"backend.affinity=\[0\] for 3 threads: expected 2 CPUs"):
        load(folder, threads=3)


def test_options_that_cannot_be_are_refused():
    with pytest.raises(
        MillisError, match=r"backend.spinning='alway' is not supported by onnxruntime: .*; did you mean 'always'\?"
    ):
        OnnxRuntime(spinning="alway")
    with pytest.raises(MillisError, match=r"backend.affinity=\[-1\]: expected numbers of CPUs, from 0 on"):
        OnnxRuntime(affinity=[-1])
    with pytest.raises(
        MillisError, match=r"backend.device='gpu' is not supported by onnxruntime: expected one of cpu, cuda"
    ):
        OnnxRuntime(device="gpu")


def test_a_gpu_that_onnx_runtime_cannot_use(write, monkeypatch):
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(MillisError, match=r"backend.device=cuda needs ONNX Runtime for a GPU: pip install"):
        write(OnnxRuntime(device="cuda"))
    folder = write(OnnxRuntime())
    with pytest.raises(MillisError, match=r"model.onnx cannot be opened: backend.device=cuda needs"):
        open_session(folder / "model.onnx", 1, OnnxRuntime(device="cuda"))


def test_a_gpu_that_turns_out_not_to_be_there(write, monkeypatch):
    """ONNX Runtime built for a GPU warns, and computes on the processor."""
    folder = write(OnnxRuntime())
    opened = onnxruntime.InferenceSession
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(
        onnxruntime,
        "InferenceSession",
        lambda graph, options, providers: opened(graph, options, ["CPUExecutionProvider"]),
    )
    with pytest.raises(MillisError, match=r"model.onnx cannot be opened: ONNX Runtime finds no GPU that it can use"):
        open_session(folder / "model.onnx", 1, OnnxRuntime(device="cuda"))


def test_a_gpu_gets_no_integers(write, monkeypatch):
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    with pytest.raises(MillisError, match=r"backend.device=cuda got quantization .*, expected none"):
        OnnxRuntime(device="cuda").write(None, Path(), (), Quantization())
