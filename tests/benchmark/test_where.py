"""What of a machine a kept latency depends on."""

from types import SimpleNamespace

import pytest

from millis.benchmark import where
from millis.benchmark.latency import Options


def test_another_gpu_is_another_machine(monkeypatch):
    plain = {"cpu": "one", "cpu_flags": ["avx2"]}
    sites = []
    for gpus in ([], ["slow"], ["fast"]):
        monkeypatch.setattr(where, "machine", lambda gpus=gpus: {**plain, "gpus": gpus})
        sites.append(where.site(Options()))
    assert sites[0] == ["one", ["avx2"], where.packages()]
    assert sites[1][-1] == ["slow"]
    assert sites[1] != sites[2]


def test_a_quota_makes_another_site(monkeypatch):
    sites = []
    for quota in (None, 0.5):
        here = {"cpu": "one", "cpu_flags": [], "gpus": [], "cpu_quota": quota}
        monkeypatch.setattr(where, "machine", lambda here=here: here)
        sites.append(where.site(Options()))
    assert sites[0] == ["one", [], where.packages()]  # what was measured before is found
    assert sites[1] == [*sites[0], {"cpu_quota": 0.5}]


@pytest.mark.parametrize(
    ("packages", "backend", "expected"),
    [
        ({"onnxruntime": "1.31"}, "onnxruntime", None),
        ({"onnxruntime-gpu": "1.31"}, "onnxruntime", None),
        ({"onnxruntime": "1.31"}, "native", "the agent at http://h:1 has no native"),
        ({"native": "1f avx2"}, "native", None),
        ({}, "openvino", "the agent at http://h:1 has no openvino"),
        ({}, "eager", None),  # PyTorch writes what it sends
    ],
)
def test_an_agent_is_asked_for_a_runtimes_package(monkeypatch, packages, backend, expected):
    monkeypatch.setattr(where, "describe", lambda *_: SimpleNamespace(packages=packages))
    assert where.lacking(backend, Options(where="http://h:1")) == expected
    assert where.lacking(backend, Options()) is None  # here the runtime says so itself


def test_other_instructions_are_another_site(monkeypatch):
    if where.NATIVE not in where.packages():
        pytest.skip("the native part is not built")
    before = where.site(Options())
    monkeypatch.setenv("MILLIS_INSTRUCTIONS", "portable")
    assert where.packages()[where.NATIVE].endswith(" portable")
    assert where.site(Options()) != before
