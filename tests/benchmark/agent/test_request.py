import json
from dataclasses import replace

import pytest

from millis.benchmark.agent.request import Request, files_of
from millis.benchmark.latency import Options
from millis.errors import MillisError

SHA = "a" * 64


def manifest(name="model.onnx", backend="onnxruntime", sha256=SHA):
    return json.dumps({"name": "small", "backend": backend, "files": {name: {"sha256": sha256, "bytes": 1}}})


REQUEST = Request(manifest(), {"small": manifest()}, "b" * 64, Options(affinity=(1, 0), threads=2, where="http://h:1"))


def test_round_trip_measures_where_it_arrives():
    assert Request.from_json(REQUEST.to_json()) == replace(REQUEST, options=replace(REQUEST.options, where="here"))
    assert REQUEST.blobs == {SHA, "b" * 64}
    assert files_of(REQUEST.reference) == {"model.onnx": SHA}


@pytest.mark.parametrize(
    "name", ["../model.onnx", "/etc/passwd", "a/b", "..", ".hidden", "manifest.json", "", "a\n", "c:\\d"]
)
def test_names_that_lead_elsewhere(name):
    with pytest.raises(MillisError, match="expected plain names of letters, digits"):
        Request.from_json(replace(REQUEST, artifacts={"bad": manifest(name)}).to_json())


def test_a_backend_that_is_not_there():
    request = replace(REQUEST, artifacts={"small": manifest(backend="tensorrt")})
    with pytest.raises(
        MillisError, match=r"artifact 'small' is for backend 'tensorrt', which the millis of this agent lacks"
    ):
        Request.from_json(request.to_json())


def cascade(fast):
    members = {"fast": {"backend": fast}, "accurate": {"backend": "onnxruntime"}}
    return json.dumps(json.loads(manifest(backend="cascade")) | {"spec": {"threshold": 0.5, "members": members}})


@pytest.mark.parametrize("given", [manifest(backend="inductor"), cascade("inductor")], ids=["alone", "member"])
@pytest.mark.parametrize("place", ["reference", "artifacts"])
def test_code_is_not_run(given, place):
    request = replace(REQUEST, **{place: given if place == "reference" else {"small": given}})
    with pytest.raises(
        MillisError, match=r"'small' is made by backend=inductor, whose code is compiled .* an agent runs no code that"
    ):
        Request.from_json(request.to_json())


def test_a_cascade_is_told_apart_from_a_backend_that_is_not_there():
    with pytest.raises(MillisError, match="'small' is a cascade, and an agent takes artifacts of one model"):
        Request.from_json(replace(REQUEST, reference=cascade("eager")).to_json())


def test_a_file_that_several_artifacts_share_counts_once():
    other = manifest(sha256="c" * 64)
    assert replace(REQUEST, artifacts={"small": manifest(), "other": other}).size_bytes == 2


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"\xff", "this is not a request to measure: UnicodeDecodeError"),
        (b"[]", "this is not a request to measure: TypeError"),
        (b"{}", "this is not a request to measure: KeyError: 'options'"),
        (replace(REQUEST, artifacts={}).to_json(), "it names no artifacts"),
        (replace(REQUEST, artifacts={"small": manifest(sha256="../x")}).to_json(), "or a checksum that is none"),
        (replace(REQUEST, artifacts={"small": manifest().replace(": 1}", ': "1"}')}).to_json(), "unsupported operand"),
        (REQUEST.to_json().replace(b'"rounds"', b'"rouns"'), "unexpected keyword argument 'rouns'"),
        (REQUEST.to_json().replace(b'"rounds": 30', b'"rounds": 0'), "benchmark.rounds=0 measures nothing"),
    ],
)
def test_what_is_no_request(body, message):
    with pytest.raises(MillisError, match=message):
        Request.from_json(body)
