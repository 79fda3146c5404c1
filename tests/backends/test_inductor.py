from dataclasses import replace

import pytest
from signatures import answering

from millis.backends.inductor import FILE_NAME, Inductor, load
from millis.errors import MillisError
from millis.quantization.spec import Quantization
from millis.storage.manifest import Manifest


@pytest.fixture
def manifest(tmp_path):
    (tmp_path / FILE_NAME).write_bytes(b"native code")
    files = {FILE_NAME: {"sha256": "another", "bytes": 11}}
    task, options = answering("no", "yes"), {"threads": 2}
    return Manifest("tiny", "inductor", {}, task, ("input_ids",), 8, options=options, files=files)


def test_another_number_of_threads_is_refused(tmp_path, manifest):
    message = (
        r"artifact 'tiny' is compiled for 2 threads, and 1 were asked for. Load it with threads=2, or make it again "
        r"with backend.threads=1"
    )
    with pytest.raises(MillisError, match=message):
        load(tmp_path, manifest, threads=1)


def test_code_is_not_run_before_its_checksum_is_checked(tmp_path, manifest):
    with pytest.raises(MillisError, match=r"is damaged: model.pt2 does not match its checksum"):
        load(tmp_path, manifest, threads=2)


def test_a_missing_compiler_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(MillisError, match=r"compiles C\+\+, and no no-such-compiler is found: install g\+\+"):
        Inductor().write(None, tmp_path, (), None)


def test_quantization_is_refused(tmp_path):
    with pytest.raises(MillisError, match="backend=inductor got quantization int8, expected none"):
        Inductor().write(None, tmp_path, (), Quantization())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threads": 0}, "backend.threads=0 cannot run anything: expected 1 or more"),
        ({"precision": "bf61"}, r"backend.precision='bf61' is not supported by inductor: .* \(did you mean 'bf16'\?\)"),
    ],
)
def test_options_that_cannot_be_are_refused(options, message):
    with pytest.raises(MillisError, match=message):
        replace(Inductor(), **options)
