import onnxruntime
import pytest

from millis.backends.onnx.session import Options, open_session, session_options
from millis.backends.onnxruntime import OnnxRuntime
from millis.errors import MillisError

STOP, ALLOW = "session.force_spinning_stop", "session.intra_op.allow_spinning"


@pytest.mark.parametrize(("spinning", "entries"), [("request", {STOP: "1"}), ("never", {ALLOW: "0"}), ("always", {})])
def test_spinning_reaches_the_session(spinning, entries):
    options = session_options(2, Options(spinning=spinning))
    found = {}
    for key in (STOP, ALLOW):
        try:
            found[key] = options.get_session_config_entry(key)
        except RuntimeError:  # it was never set
            continue
    assert found == entries


def test_affinity_reaches_the_session_counted_from_one():
    options = session_options(3, Options(affinity=(1, 0)))
    assert options.get_session_config_entry("session.intra_op_thread_affinities") == "2;1"


def test_a_gpu_that_onnx_runtime_cannot_use(write, monkeypatch):
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    folder = write(OnnxRuntime())
    with pytest.raises(MillisError, match=r"model.onnx cannot be opened: backend.device=cuda needs"):
        open_session(folder / "model.onnx", 1, Options(device="cuda"))


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
        open_session(folder / "model.onnx", 1, Options(device="cuda"))
