import pytest

from millis.units import change, half_width, label, points, show, show_limit, unit


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


def test_a_quality_is_written_in_its_own_unit() -> None:
    assert show("perplexity", 12.345, "nats") == "12.3 nats"
    assert show("validation_f1", 0.9345, "") == "0.934"  # of a metric whose unit is not known
    assert show("quality_drop", 0.012, "nats") == "0.012 nats"
    assert show("latency_p50_ms", 4.118, "nats") == "4.12 ms"
    assert show("exit_share", 0.5, "nats") == "50%"
    assert show_limit("quality_drop", 0.5, "nats") == "0.5 nats"
    assert show_limit("quality_drop", 0.5, "") == "0.5"
    assert (unit("macro_f1"), unit("perplexity", "nats")) == ("%", "nats")
    assert (points("%"), points("nats")) == ("points", "nats")


def test_differences_and_intervals_of_a_quality() -> None:
    assert [change(value) for value in (0.56, -2)] == ["+0.6 points", "-2.0 points"]
    assert [change(value, "nats") for value in (0.056, -2)] == ["+0.056 nats", "-2.00 nats"]
    assert half_width((92.0, 94.5)) == " ± 1.2"
    assert half_width((0.92, 0.945), "") == " ± 0.012"
    assert half_width((100.0, 100.0)) == ""
