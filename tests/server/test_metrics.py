"""What is left of a worker's numbers."""

from millis.server.metrics import forget


def test_a_file_that_a_worker_died_over_is_no_longer_read(tmp_path):
    for name in ("histogram_7.db", "counter_7.db", "gauge_livesum_7.db", "histogram_77.db"):
        (tmp_path / name).write_bytes(b"" if name.startswith("histogram") else b"x" * 16)
    forget(7, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["counter_7.db", "histogram_77.db"]
