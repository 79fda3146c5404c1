"""What of a machine a kept latency depends on."""

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
