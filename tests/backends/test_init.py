import pytest

from millis import backends
from millis.errors import MillisError


def test_every_backend_is_its_file_and_answers_to_its_name():
    assert {"eager", "onnxruntime"} <= set(backends.names())
    for name in backends.names():
        module = backends.module(name)
        assert callable(module.load)
        assert [value for value in vars(module).values() if isinstance(value, type) and vars(value).get("name") == name]


def test_files_that_serve_every_backend_are_none():
    assert not {"artifact", "profile", "tracing", "onnx", "__init__"} & set(backends.names())


def test_an_unknown_backend_is_told_the_nearest():
    with pytest.raises(MillisError, match=r"backend 'eagre' is unknown; expected one of .* \(did you mean 'eager'\?\)"):
        backends.module("eagre")


def test_which_runtimes_run_code_is_read_off_their_classes():
    for name in backends.names():
        (found,) = [
            value
            for value in vars(backends.module(name)).values()
            if isinstance(value, type) and vars(value).get("name") == name
        ]
        assert backends.runs_code(name) == getattr(found, "runs_code", False)
    assert backends.runs_code("inductor")
    assert not backends.runs_code("cascade")
