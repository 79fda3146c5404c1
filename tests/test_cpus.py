"""Control groups as files in a folder, of both versions and as a container sees them."""

import pytest

from millis import cpus
from millis.cpus import Limit, available_cpus, limits, processor, processor_name, quota, throttled_ns


@pytest.fixture
def system(tmp_path):
    """Writes what a system says; returns where control groups lie and which ones the process is in."""

    def make(own, **files):
        for name, text in files.items():
            path = tmp_path / "cgroup" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text + "\n")
        (tmp_path / "own").write_text(own + "\n")
        return tmp_path / "cgroup", tmp_path / "own"

    return make


def test_version_2_in_a_container(system):
    root, own = system("0::/", **{"cpu.max": "20000 100000"})
    assert quota(root, own) == 0.2
    assert limits(root, own) == [Limit(0.2, root / "cpu.stat")]


def test_the_tightest_of_the_groups_around_it_counts(system):
    files = {"a/b/cpu.max": "max 100000", "a/cpu.max": "150000 100000", "cpu.max": "300000 100000"}
    root, own = system("0::/a/b", **files)
    assert quota(root, own) == 1.5
    assert [limit.account for limit in limits(root, own)] == [root / "a" / "cpu.stat", root / "cpu.stat"]


@pytest.mark.parametrize("mount", ["cpu", "cpu,cpuacct"])
def test_version_1(system, mount):
    files = {f"{mount}/box/cpu.cfs_quota_us": "50000", f"{mount}/box/cpu.cfs_period_us": "100000"}
    root, own = system("5:memory:/box\n4:cpu,cpuacct:/box", **files)
    assert limits(root, own) == [Limit(0.5, root / mount / "box" / "cpu.stat")]


def test_a_container_of_version_1_sees_its_own_group_at_the_root(system):
    files = {"cpu/cpu.cfs_quota_us": "250000", "cpu/cpu.cfs_period_us": "100000"}
    root, own = system("4:cpu:/docker/0123", **files)
    assert quota(root, own) == 2.5


def test_version_2_beside_version_1(system):
    files = {"unified/cpu.max": "30000 60000", "cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}
    root, own = system("4:cpu:/\n0::/", **files)
    assert limits(root, own) == [Limit(0.5, root / "unified" / "cpu.stat")]


def test_no_limit(system, tmp_path):
    assert quota(*system("0::/a", **{"a/cpu.max": "max 100000"})) is None
    assert quota(tmp_path / "none", tmp_path / "none") is None


@pytest.mark.parametrize(
    ("most", "expected"), [(None, [2, 3, 5, 7]), (0.2, [7]), (1.9, [7]), (2.0, [5, 7]), (16.0, [2, 3, 5, 7])]
)
def test_as_many_cpus_as_the_quota_pays_for(monkeypatch, most, expected):
    monkeypatch.setattr(cpus, "affinity", lambda: [2, 3, 5, 7])
    monkeypatch.setattr(cpus, "quota", lambda: most)
    assert available_cpus() == expected


def test_throttled_time_by_hand():
    second = "usage_usec 9\nnr_throttled 2\nthrottled_usec 7\nburst_usec 1"
    first = "nr_periods 4\nnr_throttled 2\nthrottled_time 500"  # version 1 counts nanoseconds
    assert throttled_ns([second, first]) == 7_500
    assert throttled_ns(["usage_usec 9"]) == throttled_ns([]) == 0


def test_the_processor_is_the_first_and_has_a_name_wherever_it_is(tmp_path, monkeypatch):
    (tmp_path / "cpuinfo").write_text(
        "processor\t: 0\nmodel name\t: Cool CPU™ 9\n\nprocessor\t: 1\nmodel name\t: Other\n"
    )
    monkeypatch.setattr(cpus, "INFO", tmp_path / "cpuinfo")
    assert processor() == {"processor": "0", "model name": "Cool CPU™ 9"}
    assert processor_name() == "Cool CPU™ 9"
    monkeypatch.setattr(cpus, "INFO", tmp_path / "none")
    assert processor() == {} and processor_name()
