import sys
from pathlib import Path

import onnxruntime
import pytest

from millis.backends.onnx.session import Options
from millis.backends.onnxruntime import OnnxRuntime
from millis.errors import MillisError
from millis.quantization.spec import Quantization
from millis.serving.runner import load
from millis.storage.manifest import open_manifest


def test_a_missing_runtime_names_the_extra(write, monkeypatch):
    folder = write(OnnxRuntime())
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MillisError, match=r"this artifact runs on ONNX Runtime: pip install 'millis\[onnx\]'"):
        load(folder)
    assert OnnxRuntime().missing() == "onnxruntime is not installed: pip install 'millis[onnx]'"


@pytest.mark.filterwarnings("ignore:threads=3 on")  # where there are fewer CPUs
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


def test_a_graph_is_opened_with_what_the_runtime_is_made_with():
    made = OnnxRuntime(spinning="never", affinity=[1, 0], device="cuda")
    assert made.options == Options("never", (1, 0), "cuda")
    assert OnnxRuntime().options == Options()  # what an exporter checks a graph with


def test_a_gpu_that_onnx_runtime_cannot_use(write, monkeypatch):
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(MillisError, match=r"backend.device=cuda needs ONNX Runtime for a GPU: pip install"):
        write(OnnxRuntime(device="cuda"))


def test_a_gpu_gets_no_integers(write, monkeypatch):
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    with pytest.raises(MillisError, match=r"backend.device=cuda got quantization .*, expected none"):
        OnnxRuntime(device="cuda").write(None, Path(), (), Quantization())
