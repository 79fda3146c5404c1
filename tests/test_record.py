"""Records: JSON lines out and in, and what is not a record."""

import json
import math
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millis.errors import MillisError
from millis.record import MEASURED, Judged, Record, read_records, write_records

VALUES = {
    "id": "0123456789abcdef",
    "name": "transformer 3x384 int8",
    "kind": "student",
    "metrics": {"accuracy": 93.4, "latency_p50_ms": 0.5},
    "intervals": {"accuracy": (92.0, 94.5)},
    "quality": "accuracy",
    "config": {"student": {"layers": 3}},
    "seed": 0,
    "artifact": "artifacts/a",
    "predictions": [0, 1],
    "references": [0, 0],
    "latency_ms": [[0.5, 0.6], [0.5]],
    "processes": [0, 1],
    "reference_latency_ms": [[2.0, 2.1], [2.0]],
    "stages_ms": {"tokenize": 0.1},
    "parity": {"label_agreement": 1.0},
    "environment": {"threads": 1},
    "notes": ["2 texts truncated"],
    "analysis": {"limit": {"floor_ms": 0.1}},
    "judged": {"accuracy": Judged()},
}
JSON = {**VALUES, "judged": {"accuracy": {"better": "higher", "unit": "%", "settings": {}}}}
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
NUMBER = st.floats(allow_nan=False)


@given(
    metrics=st.dictionaries(TEXT.filter(lambda name: not name.endswith(MEASURED)), NUMBER, max_size=4),
    intervals=st.dictionaries(TEXT, st.tuples(NUMBER, NUMBER), max_size=4),
    notes=st.lists(TEXT, max_size=3),
)
def test_a_file_gives_back_what_was_written(tmp_path_factory, metrics, intervals, notes):
    records = [Record(**{**VALUES, "metrics": metrics, "intervals": intervals, "notes": notes}), Record(**VALUES)]
    path = tmp_path_factory.mktemp("records") / "records.jsonl"
    write_records(path, records)
    assert read_records(path) == records


def test_a_record_is_one_line_of_plain_json():
    line = Record(**VALUES).to_json()
    assert "\n" not in line
    assert json.loads(line) == {**JSON, "intervals": {"accuracy": [92.0, 94.5]}}


def test_an_undefined_metric_survives():
    record = Record(**{**VALUES, "metrics": {"matthews": math.nan}})
    assert math.isnan(Record.from_json(record.to_json()).metrics["matthews"])


def test_line_separators_inside_texts_do_not_cut_a_record(tmp_path):
    record = Record(**{**VALUES, "notes": ["a\u2028b\x85c\nd"]})
    write_records(tmp_path / "r.jsonl", [record])
    assert read_records(tmp_path / "r.jsonl") == [record]


def test_texts_and_lists_of_texts_survive():
    written = Record(**{**VALUES, "predictions": ["Ja.", ""], "references": ["Ja, gern.", ("猫", "a\u2028b")]})
    assert Record.from_json(written.to_json()) == written
    assert written.references == ["Ja, gern.", ["猫", "a\u2028b"]]


def test_no_records_are_an_empty_file(tmp_path):
    write_records(tmp_path / "r.jsonl", [])
    assert (tmp_path / "r.jsonl").read_text() == ""
    assert read_records(tmp_path / "r.jsonl") == []


def test_an_older_record_is_a_percentage_of_which_more_is_better():
    old = Record.from_json(json.dumps({key: value for key, value in JSON.items() if key != "judged"}))
    assert old.judged == {} and old.reading == Judged("higher", "%", {})


def test_how_a_metric_reads_decides_what_a_loss_is():
    # 92 against 94 loses two points; a perplexity of 12 against 10 loses two as well.
    assert Judged().loss(92.0, 94.0) == 2.0
    lower = Judged("lower", "perplexity")
    assert (lower.loss(12.0, 10.0), lower.loss(9.0, 10.0)) == (2.0, -1.0)
    read = Record.from_json(json.dumps({**JSON, "judged": {"accuracy": {"better": "lower", "unit": "nats"}}}))
    assert read.reading == Judged("lower", "nats")


def test_unknown_kind():
    with pytest.raises(MillisError) as caught:
        Record(**{**VALUES, "kind": "pupil"})
    assert str(caught.value) == (
        "record 'transformer 3x384 int8' has kind 'pupil'; expected one of teacher, baseline, linear, student"
    )


def test_what_came_later_alone_may_be_missing():
    without = {name: value for name, value in JSON.items() if name != "notes"}
    assert Record.from_json(json.dumps(without)).notes == []
    for name in {field.name for field in fields(Record)} - {"notes", "analysis", "processes", "judged"}:
        lacking = json.dumps({key: value for key, value in JSON.items() if key != name})
        with pytest.raises(MillisError) as caught:
            Record.from_json(lacking)
        assert str(caught.value) == f"not a millis record: missing fields ['{name}']"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "Expecting property name"),
        ("", "Expecting value"),
        ("5", "Expected object, got int"),
        (json.dumps({**JSON, "speed": 1, "colour": 2}), r"unknown fields \['colour', 'speed'\]"),
        (
            json.dumps({**JSON, "intervals": {"accuracy": [1, 2, 3]}}),
            r"intervals\['accuracy'\] is \[1, 2, 3\]: expected array of length 2, got 3",
        ),
        (json.dumps({**JSON, "notes": 5}), "notes is 5: expected array, got int"),
        (json.dumps({**JSON, "notes": ["a", None]}), r"notes\[1\] is None: expected str, got null"),
        (json.dumps({**JSON, "parity": 1}), "parity is 1: expected object, got int"),
        (json.dumps({**JSON, "metrics": {"a": 1, "b": "x"}}), r"metrics\['b'\] is 'x': expected float, got str"),
        (json.dumps({**JSON, "latency_ms": [[0.5, "x"]]}), r"latency_ms\[0\]\[1\] is 'x': expected float, got str"),
        (json.dumps({**JSON, "latency_ms": [[0.5, -1]]}), r"latency_ms\[0\]\[1\] is -1: expected float > 0"),
        (json.dumps({**JSON, "latency_ms": [[math.nan]]}), r"latency_ms\[0\]\[0\] is nan: expected float > 0"),
        (json.dumps({**JSON, "predictions": [0, True]}), r"predictions\[1\] is True: expected .*int.*, got bool"),
        (json.dumps({**JSON, "predictions": [0, -1]}), r"predictions\[1\] is -1: expected int >= 0"),
        (json.dumps({**JSON, "predictions": [0]}), "predictions has 1 values: expected one for each of the 2"),
        (json.dumps({**JSON, "metrics": {"latency_p50_ms": 0}}), r"metrics\['latency_p50_ms'\] is 0.0: expected a"),
        (json.dumps({**JSON, "metrics": {"speedup": math.nan}}), r"metrics\['speedup'\] is nan: expected a number"),
        (
            json.dumps({**JSON, "judged": {"accuracy": {"better": "up"}}}),
            r"judged\['accuracy'\].better is 'up': invalid enum value 'up'",
        ),
        (json.dumps({**JSON, "judged": {"a": {"unit": "x" * 33}}}), "expected str of length <= 32"),
        (json.dumps({**JSON, "config": {"study": []}}), r"config.study is \[\]: expected object, got array"),
        (
            json.dumps({**JSON, "config": {"study": {"directions": {"quality": "up"}}}}),
            r"config.study.directions\['quality'\] is 'up': invalid enum value 'up'",
        ),
        ("[" * 100_000, "nested too deep"),
        ('{"id": ' + "9" * 5000 + "}", "no JSON: Exceeds the limit"),
    ],
)
def test_what_is_not_a_record_is_refused_with_its_line(tmp_path, line, reason):
    path = tmp_path / "records.jsonl"
    path.write_text(Record(**VALUES).to_json() + "\n" + line + "\n" + Record(**VALUES).to_json() + "\n")
    with pytest.raises(MillisError, match=rf"records\.jsonl, line 2: not a millis record: .*{reason}"):
        read_records(path)


def test_a_missing_file_says_what_makes_one(tmp_path):
    path = tmp_path / "records.jsonl"
    with pytest.raises(MillisError) as caught:
        read_records(path)
    assert str(caught.value) == (
        f"no records at {path}: run `millis sweep` or `millis compress` first, or name another file"
    )


def test_a_file_that_is_not_text(tmp_path):
    (tmp_path / "records.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(MillisError, match=r"records\.jsonl is not UTF-8 text"):
        read_records(tmp_path / "records.jsonl")
