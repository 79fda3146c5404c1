import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from looking_back import after_each, looking_back, tokens
from shaped import eager

from millis.backends import onnxruntime as backend
from millis.backends.onnx.session import Options
from millis.backends.onnxruntime import OnnxRuntime
from millis.errors import MillisError
from millis.quantization.spec import Quantization
from millis.serving.runner import load
from millis.storage.archived import Archived
from millis.storage.manifest import open_manifest
from millis.tasks.language_model import LanguageModel
from millis.types import Features, Output, Signature


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
        MillisError, match=r"backend.spinning='alway' is not supported by onnxruntime: .* \(did you mean 'always'\?\)"
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


@pytest.fixture
def write_decoder(write):
    """Writes an artifact of a small Llama and opens its graph."""

    def make(quantization=None, storage=None, threads=1):
        model = looking_back(hidden=32, size=16)
        folder = write(
            OnnxRuntime(), quantization, model, storage=storage, task=LanguageModel().described(), max_length=40
        )
        return model, backend.load(folder, open_manifest(folder), threads), folder

    return make


def test_an_artifact_of_what_says_what_comes_next_writes(write_decoder):
    model, decoder, folder = write_decoder()
    ids = tokens(0, 12)
    text = decoder.begin(12)
    found = np.concatenate([text.read(ids[:8], every=True), text.read(ids[8:], every=True)])
    assert found == pytest.approx(after_each(model, ids), abs=1e-4)
    features = Features(ids.reshape(2, 6), np.ones((2, 6), np.int64), None)
    assert decoder(features)[0] == pytest.approx(eager(model, features)[0], abs=1e-4)
    two = backend.load(folder, open_manifest(folder), threads=2).begin(12)
    assert two.read(ids) == pytest.approx(found[-1:], abs=1e-5)


@pytest.mark.parametrize(
    "quantization",
    [None, Quantization(), Quantization(weights=4, activations="none", block_size=16)],
    ids=["fp32", "dynamic", "4 bits"],
)
def test_a_decoder_in_an_archive_reads_the_same_to_the_last_bit(write_decoder, quantization):
    pytest.importorskip("zstandard", reason="the storage extra is not installed")
    _, plain, _ = write_decoder(quantization)
    expected = plain.begin(9).read(tokens(0, 9), every=True)
    _, archived, folder = write_decoder(quantization, Archived(bandwidth_mb_per_s=1, codecs=("zstd",), lossy=()))
    assert not (folder / "model.onnx").exists()
    assert np.array_equal(archived.begin(9).read(tokens(0, 9), every=True), expected)


def test_operators_of_a_decoder(write_decoder):
    _, _, folder = write_decoder(Quantization())
    requests = [Features(tokens(seed, 6)[None], np.ones((1, 6), np.int64), None) for seed in range(3)]
    found = backend.operators(folder, open_manifest(folder), 1, requests)
    assert sum(operator.share for operator in found) == pytest.approx(1)
    kinds = {operator.kind for operator in found}
    assert "GroupQueryAttention" in kinds
    assert kinds & {"MatMulInteger", "MatMulIntegerToFloat", "DynamicQuantizeMatMul"}


def test_a_damaged_graph_of_a_decoder(write_decoder):
    _, _, folder = write_decoder()
    manifest = open_manifest(folder)
    (folder / "model.onnx").write_bytes((folder / "model.onnx").read_bytes()[:-9000])
    with pytest.raises(MillisError, match=r"ONNX Runtime cannot open .*model.onnx: .*Make the artifact again"):
        backend.load(folder, manifest, 1)


def test_keys_and_values_are_kept_for_the_processor(monkeypatch):
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    signature = Signature(("input_ids", "attention_mask"), (Output("next", "token", 9, "next"),))
    with pytest.raises(MillisError, match=r"backend.device=cuda got a model that says what comes next, .*device=cpu"):
        OnnxRuntime(device="cuda").write(None, Path(), signature, None)
