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


def test_a_quota_makes_another_site(monkeypatch):
    sites = []
    for quota in (None, 0.5):
        here = {"cpu": "one", "cpu_flags": [], "gpus": [], "cpu_quota": quota}
        monkeypatch.setattr(where, "machine", lambda here=here: here)
        sites.append(where.site(Options()))
    assert sites[0] == ["one", [], where.packages()]  # what was measured before is found
    assert sites[1] == [*sites[0], {"cpu_quota": 0.5}]
