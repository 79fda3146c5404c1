"""`millis cascade` on real files: two students of one teacher become one artifact, which is measured beside them."""

import re
from pathlib import Path

import pytest
from tiny import BRIEF, TINY, millis, write_data

from millis.record import read_records
from millis.serving.runner import load
from millis.storage.manifest import open_manifest


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cascade")
    write_data(folder / "data")
    return folder


@pytest.fixture(scope="module")
def members(place):
    """Folders of a static student and of the teacher."""
    common = [*TINY, f"data.path={place / 'data'}"]
    assert millis(place, "compress", *common, "student=static") == 0
    artifacts = sorted((place / "outputs" / "artifacts").glob("*"))
    (fast,) = [path for path in artifacts if path.name.startswith("static")]
    (accurate,) = [path for path in artifacts if path.name.startswith("teacher-int8")]
    return [f"fast={fast}", f"accurate={accurate}", "data=local", f"data.path={place / 'data'}", *BRIEF]


def test_two_artifacts_become_one(place, members, capsys):
    assert millis(place, "cascade", *members, "cascade.quality_drop=0", "cascade.latency_p99_ms=1000") == 0
    output = capsys.readouterr().out
    folder = Path(re.search(r"artifact: (\S+)", output)[1])
    records = read_records(Path(re.search(r"records: (\S+)", output)[1]))
    accurate, fast, both = records
    assert (accurate.kind, both.name) == ("teacher", f"cascade {fast.name} + {accurate.name}")
    assert sum(map(len, both.latency_ms)) >= 1022, "a limit on the p99 asks for its requests"
    assert "p99 ≤ 1000 ms: kept with probability > 99 %" in output
    assert 0 <= both.metrics["fast_share"] <= 100
    assert "fast_share" not in fast.metrics
    assert {"latency_p50_ms", "latency_p99_ms", "speedup"} <= set(both.metrics)
    assert both.metrics["size_bytes"] > accurate.metrics["size_bytes"]
    share = re.search(r"the fast member answers (\d+) %, quality drops by (-?[\d.]+) points", output)
    assert float(share[2]) <= 0
    assert f"on test it answers {both.metrics['fast_share']:.0f} %" in output
    assert open_manifest(folder).backend == "cascade"
    assert load(folder).predict("where is my parcel").label in ("refund", "track", "cancel")


def test_thresholds_that_no_validation_point_meets(place, members, capsys):
    before = set((place / "outputs" / "artifacts").glob("*"))
    assert millis(place, "cascade", *members, "benchmark.where=http://phone:1") == 1
    assert "times its members here, and benchmark.where=http://phone:1 asks for another" in capsys.readouterr().err
    assert millis(place, "cascade", *members, "cascade.latency_p99_ms=0.00001") == 1
    error = capsys.readouterr().err
    assert re.search(r"error: no threshold keeps quality drop ≤ 0.5 points and p99 ≤ 1e-05 ms on the validation", error)
    assert "The nearest is threshold" in error and "Traceback" not in error
    assert set((place / "outputs" / "artifacts").glob("*")) == before


def test_members_of_other_data(place, members, capsys):
    (place / "other").mkdir()
    rows = "".join(f'{{"text": "{word} {i}", "label": "{word}"}}\n' for word in ("good", "bad") for i in range(9))
    (place / "other" / "train.jsonl").write_text(rows)
    arguments = [argument for argument in members if not argument.startswith("data.path")]
    assert millis(place, "cascade", *arguments, f"data.path={place / 'other'}") == 1
    assert "name the task and the data it was made for: task=... data=..." in capsys.readouterr().err
