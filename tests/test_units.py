import pytest

from millis.units import label, show, show_limit


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("latency_p50_ms", 0.0123, "0.012 ms"),
        ("latency_p50_ms", 4.118, "4.12 ms"),
        ("latency_p50_ms", 41.18, "41.2 ms"),
        ("cold_start_ms", 4118.2, "4118 ms"),
        ("size_bytes", 840, "840 B"),
        ("size_bytes", 12_345_678, "12.3 MB"),
        ("speedup", 399.4, "399×"),
        ("accuracy", 93.44, "93.4"),
        ("quality_drop", 0.56, "0.6 points"),
        ("expected_saving_share", 0.414, "41%"),
        ("exit_layer_mean", 3.456, "3.46 layers"),
    ],
)
def test_show(name: str, value: float, text: str) -> None:
    assert show(name, value) == text


@pytest.mark.parametrize(
    ("name", "limit", "text"),
    [
        ("latency_p99_ms", 2.0, "2 ms"),
        ("quality_drop", 1, "1 point"),
        ("quality_drop", 1.5, "1.5 points"),
        ("size_bytes", 5e7, "50 MB"),
        ("size_bytes", 1.25e6, "1.25 MB"),
    ],
)
def test_limits_read_as_they_were_written(name: str, limit: float, text: str) -> None:
    assert show_limit(name, limit) == text


@pytest.mark.parametrize(
    ("name", "text"),
    [("latency_p99_ms", "p99"), ("tokenize_p50_ms", "tokenize p50"), ("speedup", "speed-up"), ("accuracy", "accuracy")],
)
def test_label(name: str, text: str) -> None:
    assert label(name) == text
