import errno
import os
import shutil
import tempfile
from collections import namedtuple

import pytest
import torch

from millis.backends import inductor
from millis.backends.inductor import Inductor
from millis.backends.onnx import export as exports
from millis.backends.onnx import segments
from millis.backends.onnxruntime import OnnxRuntime
from millis.backends.openvino import OpenVino
from millis.backends.scratch import MachineFault, blame_machine, fp32_bytes, scratch
from millis.errors import MillisError

NO_SPACE = OSError(errno.ENOSPC, "No space left on device")
Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def free(monkeypatch):
    """Says how many bytes TMPDIR has left."""

    def make(count):
        monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(0, 0, count))

    return make


def raising(error):
    def export(*_, **__):
        raise error

    return export


def wrapped(error):
    """As an exporter that has its own exceptions."""
    try:
        raise error
    except Exception as cause:
        fault = RuntimeError("failed to export the model")
        fault.__cause__ = cause
        return fault


def test_weights_are_counted_in_fp32(static):
    assert fp32_bytes(static.half()) == 4 * sum(parameter.numel() for parameter in static.parameters())


@pytest.mark.parametrize(
    "error", [NO_SPACE, wrapped(NO_SPACE), RuntimeError("write failed: No space left on device")], ids=str
)
@pytest.mark.parametrize("backend", [OnnxRuntime(), OpenVino()], ids=lambda backend: backend.name)
def test_a_full_tmpdir_is_no_disagreement(write, backend, error, free, monkeypatch):
    free(10)
    monkeypatch.setattr(torch.onnx, "export", raising(error))
    message = rf"no room in TMPDIR={tempfile.gettempdir()}: needs about 1 MB, 0.0 MB are free. Free some, or set TMPDIR"
    with pytest.raises(MachineFault, match=message):
        write(backend)


def test_nor_is_one_that_the_quantizer_or_a_segment_fills(write, free, monkeypatch, static):
    free(10)
    monkeypatch.setattr(exports, "keep_inputs", raising(NO_SPACE))
    monkeypatch.setattr(segments, "spelled_out", raising(NO_SPACE))
    with pytest.raises(MachineFault, match="no room in TMPDIR="):
        write(OnnxRuntime())
    with pytest.raises(MachineFault, match="no room in TMPDIR="):
        segments.export_segments(static, None, (), None)


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("std::bad_alloc"), OSError(errno.ENOMEM, "Cannot allocate memory")], ids=str
)
def test_nor_is_want_of_memory(write, error, monkeypatch):
    monkeypatch.setattr(torch.onnx, "export", raising(error))
    with pytest.raises(
        MachineFault, match=r"not enough memory: needs about 1 MB more than there are. End what else runs"
    ):
        write(OnnxRuntime())


def test_where_tmpdir_has_room_the_artifacts_folder_has_none(write, free, monkeypatch):
    free(1 << 40)
    monkeypatch.setattr(torch.onnx, "export", raising(NO_SPACE))
    with pytest.raises(MillisError, match=r"cannot write .*artifact: No space left on device. .*paths.outputs="):
        write(OnnxRuntime())


def test_a_compiler_without_room(write, free, monkeypatch):
    free(10)
    monkeypatch.setattr(Inductor, "missing", lambda self: None)
    monkeypatch.setattr(torch.export, "export", raising(wrapped(NO_SPACE)))
    with pytest.raises(MachineFault, match="no room in TMPDIR="):
        write(Inductor())
    monkeypatch.setattr(torch._inductor, "aoti_load_package", raising(NO_SPACE), raising=False)
    with pytest.raises(MachineFault, match="no room in TMPDIR="):
        inductor._open(onnx_file(write), 1)


def onnx_file(write):
    return write(OnnxRuntime()) / "model.onnx"


def test_no_temporary_folder_at_all(monkeypatch):
    monkeypatch.setattr(
        tempfile, "mkdtemp", raising(FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/a']"))
    )
    with (
        pytest.raises(MachineFault, match=r"no room in TMPDIR: No usable temporary directory .*Set TMPDIR"),
        scratch(1),
    ):
        pass


def entered():
    with scratch(1):
        raise AssertionError("there was no room to begin with")


def test_a_tmpdir_that_is_too_full_for_a_folder(free, monkeypatch):
    free(10)
    monkeypatch.setattr(tempfile, "mkdtemp", raising(NO_SPACE))
    with pytest.raises(MachineFault, match=rf"no room in TMPDIR={tempfile.gettempdir()}: needs about 1 MB, 0.0 MB are"):
        entered()


def test_the_folder_that_takes_tmpdirs_place_is_named(free, monkeypatch, tmp_path):
    """Where another user has taken the name in TMPDIR."""
    free(10)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / f"millis-{os.getuid()}").touch()
    monkeypatch.setattr(tempfile, "mkdtemp", raising(NO_SPACE))
    used = tmp_path / "home" / ".cache" / "millis"
    with pytest.raises(MachineFault, match=rf"no room in {used}, which is used in place of TMPDIR={tmp_path}: needs"):
        entered()


def test_what_else_the_file_system_refuses_stays_what_it_is(free, monkeypatch):
    free(10)
    monkeypatch.setattr(tempfile, "mkdtemp", raising(PermissionError(errno.EACCES, "Permission denied")))
    with pytest.raises(PermissionError):
        entered()


def test_what_a_model_does_wrong_stays_the_models(free):
    free(0)
    blame_machine(ValueError("no such operator"), 1 << 40)
    with pytest.raises(ValueError, match="no such operator"), scratch(1 << 40):
        raise ValueError("no such operator")
