"""The run of a study, read back from its files."""

import json
from dataclasses import replace
from pathlib import Path

from wandb_files import artifacts, history, messages, start, summary

from millis import tracking
from millis.record import Judged, Record
from millis.tracking import Member, Model, log_study, open_run

LOGGER = {"_target_": "pytorch_lightning.loggers.WandbLogger", "project": "millis", "group": "clinc study"}


def record(
    name: str,
    accuracy: float,
    speedup: float,
    artifact: str = "",
    intervals: dict[str, tuple[float, float]] | None = None,
) -> Record:
    return Record(
        id=f"id-{name}",
        name=name,
        kind="student",
        metrics={"accuracy": accuracy, "speedup": speedup},
        intervals=intervals or {},
        quality="accuracy",
        config={},
        seed=3,
        artifact=artifact,
        predictions=[],
        references=[],
        latency_ms=[],
        reference_latency_ms=[],
        stages_ms={},
        parity={},
        environment={},
    )


def test_a_table_has_a_column_for_every_metric_and_its_interval() -> None:
    with_interval = record("a", 90.0, 4.0, intervals={"accuracy": (88.0, 92.0)})
    columns, rows = tracking.table([record("b", 80.0, 9.0), with_interval])
    assert columns == ["name", "kind", "seed", "accuracy", "speedup", "accuracy_low", "accuracy_high"]
    assert rows == [["b", "student", 3, 80.0, 9.0, None, None], ["a", "student", 3, 90.0, 4.0, 88.0, 92.0]]


def test_the_summary_has_the_best_of_each_and_the_trial_counts() -> None:
    numbers = tracking.summary([record("a", 90.0, 4.0), record("b", 80.0, 9.0)], {"complete": 5, "failed": 1})
    assert numbers == {
        "trials/complete": 5,
        "trials/failed": 1,
        "frontier_size": 2,
        "frontier/a/accuracy": 90.0,
        "frontier/a/speedup": 4.0,
        "frontier/b/accuracy": 80.0,
        "frontier/b/speedup": 9.0,
        "best_accuracy": 90.0,
        "best_speedup": 9.0,
    }


def test_the_best_of_a_metric_that_runs_the_other_way_is_the_lowest() -> None:
    records = [replace(record(name, value, 1.0), judged={"accuracy": Judged("lower", "nats")})
               for name, value in (("a", 9.0), ("b", 8.0))]  # fmt: skip
    assert tracking.summary(records, {})["best_accuracy"] == 8.0


def test_a_study_can_be_read_back_from_its_offline_run(outputs: Path) -> None:
    import plotly.graph_objects as go

    tracking.prepare(outputs)
    folder, weights = outputs / "artifacts" / "abc", outputs / "s.safetensors"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(bytes(100))
    (folder / "manifest.json").write_text("{}")
    weights.write_bytes(bytes(100))
    best = record("transformer 3x384 int8", 92.0, 12.0, intervals={"accuracy": (90.0, 94.0)})
    made = Model("model", "clinc study-transformer 3x384 int8", folder)
    member = Member(best, made, Model("student", "student-1", weights))
    run = open_run(LOGGER, name="clinc study", job_type="summary", config={"study": {"trials": 2}})
    assert run is not None
    figure = go.Figure(go.Scatter(x=[1.5], y=[92.0]))
    log_study(run, [best, record("static 256", 70.0, 11.0)], [member], trials={"complete": 2}, figure=figure)
    run.finish()
    tracking.close()

    place = run.folder
    assert place is not None and place.parent == outputs / "wandb" and place.name.startswith("offline-run-")
    assert (start(place).run_group, start(place).job_type) == ("clinc study", "summary")
    numbers = summary(place)
    assert (numbers["best_accuracy"], numbers["best_speedup"], numbers["trials/complete"]) == (92.0, 12.0, 2)
    (shown,) = [step for step in history(place) if "frontier/path" in step]
    frontier = json.loads((place / "files" / shown["frontier/path"]).read_text())
    assert frontier["data"] == [["transformer 3x384 int8", "student", 3, 92.0, 90.0, 94.0, 12.0]]
    assert len(json.loads((place / "files" / shown["records/path"]).read_text())["data"]) == 2
    assert json.loads((place / "files" / shown["frontier_chart/path"]).read_text())["data"][0]["y"] == [92.0]
    assert artifacts(place) == ({"clinc-study-transformer-3x384-int8"}, {"student-1"})
    needed = [
        Path(entry.local_path)
        for message in messages(place)
        if message.WhichOneof("record_type") == "artifact"
        for entry in message.artifact.manifest.contents
        if entry.local_path
    ]
    assert {folder / "model.safetensors", folder / "manifest.json"} <= set(needed)
    assert all(path.is_file() and path.is_relative_to(outputs) for path in needed), "a later sync needs them"
    assert not list((outputs.parent / "home").rglob("*")), "W&B left files in the user's home"
