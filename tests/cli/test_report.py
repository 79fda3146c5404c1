"""Which records `millis report` reads."""

import os
import runpy
from dataclasses import replace
from pathlib import Path

import pytest
from signatures import answering
from specs import static

from millis.cli.hydra_app import composed
from millis.cli.report import read_all, run
from millis.errors import MillisError
from millis.metrics import score
from millis.record import write_records
from millis.storage.manifest import Manifest, seal

STUDY = runpy.run_path(str(Path(__file__).parents[1] / "report" / "synthetic.py"))["study"]


def test_a_folders_records_come_oldest_file_first_each_where_it_came_last(tmp_path):
    first, second, third, *_ = (replace(one, artifact="artifacts/a") for one in STUDY())
    for age, name, records in ((1, "new", [first, third]), (2, "old", [first, second])):
        path = tmp_path / name / "records.jsonl"
        path.parent.mkdir()
        write_records(path, records)
        os.utime(path, (1e9 - age, 1e9 - age))
    found = read_all(tmp_path)
    assert [one.id for one in found] == [second.id, first.id, third.id]
    # Artifacts lie beside the file that names them, not beside the folder that was asked for.
    assert [one.artifact for one in found] == [str(tmp_path / name / "artifacts/a") for name in ("old", "new", "new")]
    elsewhere = replace(first, artifact=str(tmp_path / "elsewhere"))
    write_records(tmp_path / "new" / "records.jsonl", [elsewhere])
    assert read_all(tmp_path)[-1].artifact == elsewhere.artifact


def older(study, **changes):
    """The study as it was written before records held what they are judged by."""
    return [replace(one, judged={}, **changes) for one in study]


def test_older_records_need_no_artifact_unless_their_metric_knows_names(tmp_path, capsys):
    write_records(tmp_path / "records.jsonl", older(STUDY()))
    run(composed("report", [f"records={tmp_path / 'records.jsonl'}"]))
    assert "transformer 3x384 int8" in capsys.readouterr().out
    labels = ["yes", "oos", "no"]
    values = [score("in_scope_accuracy", one.predictions, one.references, labels) for one in STUDY()]
    out_of_scope = [
        replace(one, quality="in_scope_accuracy", metrics={**one.metrics, "in_scope_accuracy": value})
        for one, value in zip(STUDY(), values, strict=True)
    ]
    write_records(tmp_path / "records.jsonl", older(out_of_scope, artifact="artifacts/a"))
    with pytest.raises(MillisError, match=r"artifacts/a"):
        run(composed("report", [f"records={tmp_path / 'records.jsonl'}"]))
    (tmp_path / "artifacts" / "a").mkdir(parents=True)
    manifest = Manifest("a", "eager", static(num_labels=3), answering(*labels), ("input_ids", "attention_mask"), 12)
    seal(tmp_path / "artifacts" / "a", manifest)
    for source in ("records.jsonl", ""):
        run(composed("report", [f"records={tmp_path / source}"]))
        assert f"{values[0]:.1f}" in capsys.readouterr().out


def test_a_folder_without_records_says_what_to_do(tmp_path):
    with pytest.raises(MillisError, match=r"no records.jsonl under .*: run `millis sweep` first, or give records=FILE"):
        read_all(tmp_path)


def test_a_dashboard_needs_a_login_before_anything_is_drawn(tmp_path, monkeypatch):
    for name in ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path))
    write_records(tmp_path / "records.jsonl", STUDY())
    cfg = composed("report", [f"records={tmp_path / 'records.jsonl'}", "wandb=us/millis"])
    with pytest.raises(MillisError, match=r"wandb=us/millis: .*nobody is logged in. Run `wandb login`"):
        run(cfg)
    assert not (tmp_path / "frontier.html").exists()


def test_the_dashboard_is_of_the_records_study(tmp_path, monkeypatch, capsys):
    study = {
        "name": "s-1",
        "space": {"student.layers": {"int": [1, 4]}},
        "directions": {"quality": "maximize", "latency_p99_ms": "minimize"},
    }
    write_records(tmp_path / "records.jsonl", [replace(one, config={"study": study}) for one in STUDY()])
    asked = {}
    monkeypatch.setattr("millis.tracking.dashboard.target", lambda where: tuple(where.split("/")))
    monkeypatch.setattr(
        "millis.tracking.dashboard.dashboard", lambda *place, **about: asked.update(place=place, **about)
    )
    monkeypatch.setattr("millis.tracking.dashboard.publish", lambda made: "https://example.org/r")
    run(composed("report", [f"records={tmp_path / 'records.jsonl'}", "wandb=us/millis"]))
    assert asked == {
        "place": ("us", "millis"), "study": "s-1", "quality": "accuracy", "latency": "latency_p99_ms",
        "searched": ["student.layers"],
    }  # fmt: skip
    assert "dashboard: https://example.org/r" in capsys.readouterr().out
