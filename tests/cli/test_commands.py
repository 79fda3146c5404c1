"""Every command on real files, end to end, with a tiny teacher made from the data alone."""

import io
import json
import re
import shutil
from pathlib import Path

import pytest
from tiny import BRIEF, TINY, millis, write_data
from wandb_files import artifacts, config, history, start, summary

from millis.benchmark.rates import Rates
from millis.cli.main import run
from millis.pipeline import analysis
from millis.record import read_records


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Data and a folder of outputs that the tests of this file share: caches are part of what is tested."""
    folder = tmp_path_factory.mktemp("commands")
    write_data(folder / "data")
    return folder


def common(place: Path) -> list[str]:
    return [*TINY, f"data.path={place / 'data'}"]


def artifact_of(output: str) -> str:
    return re.search(r"artifact: (\S+)", output)[1]


def test_train_fine_tunes_once_and_then_finds_it(place, capsys):
    assert millis(place, "train", *common(place)) == 0
    first = capsys.readouterr()
    assert "teacher (data)  epoch 1/3" in first.err
    assert "best validation accuracy" in first.out
    assert millis(place, "train", *common(place)) == 0
    second = capsys.readouterr()
    assert "epoch" not in second.err, "the teacher was trained again"
    assert artifact_of(second.out) == artifact_of(first.out)


def test_every_command_says_what_was_decided_about_the_data(tmp_path, capsys):
    leaky = tmp_path / "leaky"
    leaky.mkdir()
    rows = [f"{word} text {i};[{word}]" for i in range(10) for word in ("good", "bad")]
    for split, count in (("train", 20), ("test", 12)):
        (leaky / f"{split}.csv").write_text("\n".join(["text;label", *rows[:count]]) + "\n")
    said = [
        "csv files are read with semicolons between columns, as their header has",
        "no validation split: 10 % of train was set aside",
        "12 of 12 test texts also occur in train",
    ]
    arguments = [*TINY, f"data.path={leaky}"]
    for command in ("train", "compress"):
        own = ["student.layers=1"] if command == "compress" else []
        assert millis(tmp_path, command, *arguments, *own) == 0
        output = capsys.readouterr().out
        assert [output.count(note) for note in said] == [1, 1, 1], command
    teacher = [f"artifacts=[{artifact_of(output)}]", "data=local", f"data.path={leaky}"]
    assert millis(tmp_path, "benchmark", *teacher, *BRIEF) == 0
    output = capsys.readouterr().out
    assert [output.count(note) for note in said] == [1, 1, 1]


def test_compress_then_benchmark_then_predict(place, capsys, monkeypatch):
    assert millis(place, "compress", *common(place), "student.layers=1", "quantization=dynamic") == 0
    output = capsys.readouterr().out
    student = artifact_of(output)
    records = read_records(Path(re.search(r"records: (\S+)", output)[1]))
    assert [record.kind for record in records] == ["teacher", "baseline", "linear", "student"]
    assert records[0].metrics["speedup"] == 1
    assert records[-1].metrics["size_bytes"] < records[0].metrics["size_bytes"]
    assert set(records[-1].stages_ms) == {"tokenize", "feed", "compute", "decode"}
    assert records[-1].parity["label_agreement"] > 0.8

    arguments = [f"artifacts=[{records[0].artifact},{student}]", "data=local", f"data.path={place / 'data'}"]
    assert millis(place, "benchmark", *arguments, *BRIEF) == 0
    measured = read_records(Path(re.search(r"records: (\S+)", capsys.readouterr().out)[1]))
    assert [record.name for record in measured] == ["teacher", records[-1].name]
    assert measured[1].metrics["accuracy"] == records[-1].metrics["accuracy"], "one test split, one answer"

    assert millis(place, "predict", f"artifact={student}", "--", "where is my parcel, now?", "a=b") == 0
    lines = capsys.readouterr().out.strip().splitlines()
    assert len(lines) == 2 and lines[0].endswith("where is my parcel, now?") and " ms  " in lines[0]
    (place / "texts.txt").write_text("money back\n\n")
    assert millis(place, "predict", f"artifact={student}", f"file={place / 'texts.txt'}") == 0
    assert len(capsys.readouterr().out.strip().splitlines()) == 2, "an empty line is an empty text, and answered"
    monkeypatch.setattr("sys.stdin", io.StringIO("stop my order\n"))
    assert millis(place, "predict", f"artifact={student}") == 0
    assert "stop my order" in capsys.readouterr().out


def test_what_was_deleted_is_made_again(place, capsys):
    recipe = [*common(place), "student.layers=1", "quantization=dynamic"]
    assert millis(place, "compress", *recipe) == 0
    artifact = Path(artifact_of(capsys.readouterr().out))
    shutil.rmtree(artifact)
    assert millis(place, "compress", *recipe) == 0
    captured = capsys.readouterr()
    assert (artifact / "manifest.json").is_file()
    assert "epoch" not in captured.err, "only the artifact was gone, not the weights"


def test_a_damaged_cache_file_is_named(place, capsys):
    recipe = [*common(place), "student.layers=1"]
    assert millis(place, "compress", *recipe) == 0
    (weights, *_) = (place / "outputs" / "cache" / "student").glob("*.safetensors")
    whole = weights.read_bytes()
    weights.write_bytes(whole[:100])
    capsys.readouterr()
    assert millis(place, "compress", *recipe) == 1
    error = capsys.readouterr().err
    assert f"{weights} is damaged or gone" in error and "Delete it" in error and "Traceback" not in error
    weights.write_bytes(whole)


def test_a_budget_that_is_broken_stops_before_training(place, capsys):
    assert millis(place, "compress", *common(place), "student=bilstm", "budget.latency_p50_ms=0.0001") == 0
    captured = capsys.readouterr()
    assert "is over the budget before training: p50" in captured.out
    assert "kept with probability < 1 %" in captured.out
    assert "bilstm" not in captured.err, "it was trained"


@pytest.fixture(scope="module")
def swept(place):
    """A sweep of three trials over two small families."""
    assert sweep(place, 3) == 0
    return only_study(place)


def sweep(place: Path, trials: int, *more: str) -> int:
    settings = ["student=static,convolution", f"study.n_trials={trials}", "study.sampler.n_startup_trials=2", *more]
    tracked = [argument for argument in common(place) if argument != "logger=none"]
    with pytest.MonkeyPatch.context() as patch:  # a teacher of its own, so that its run is among the tracked
        for name in ("DIR", "DATA_DIR", "CACHE_DIR", "CONFIG_DIR"):
            patch.setenv(f"WANDB_{name}", str(place))  # what tracking changes is restored
        patch.setenv("WANDB_SILENT", "true")
        patch.setenv("WANDB_MODE", "offline")
        return run("sweep", [*tracked, "teacher.seed=7", *settings, f"paths.outputs={place / 'outputs'}"])


def only_study(place: Path) -> Path:
    (records,) = (place / "outputs" / "sweep").rglob("records.jsonl")
    return records.parent


def test_a_sweep_leaves_what_it_names(swept):
    records = read_records(swept / "records.jsonl")
    kinds = [record.kind for record in records]
    assert kinds[:2] == ["teacher", "baseline"] and "student" in kinds
    assert (swept / "frontier.html").stat().st_size > 1_000_000, "the page holds its own script"
    assert (swept / "study.db").is_file()
    for record in records:
        if record.artifact.startswith("artifacts/"):
            assert (swept / record.artifact / "manifest.json").is_file()
    contenders = [record for record in records if record.reference_latency_ms == records[0].reference_latency_ms]
    assert len(contenders) >= 3, "teacher, baseline and members were measured side by side"


def test_a_sweep_is_one_group_whose_runs_say_what_was_made_of_what(place, swept):
    folders = [path for path in (place / "outputs" / "sweep").iterdir() if path.is_dir()]
    assert folders == [swept], "trials have no folders beside the study's"
    runs = {kind: [] for kind in ("teacher", "trial", "summary")}
    for run_folder in sorted((place / "outputs" / "wandb").glob("offline-run-*")):
        runs[start(run_folder).job_type].append(run_folder)
        assert start(run_folder).run_group == swept.name
        assert config(run_folder)["group"] == swept.name
    assert {kind: len(found) for kind, found in runs.items()} == {"teacher": 1, "trial": 3, "summary": 1}

    (teacher,), (whole,) = runs["teacher"], runs["summary"]
    (name,), used = artifacts(teacher)
    assert name.startswith("teacher-") and used == set()
    assert [step for step in history(teacher) if "validation/quality" in step], "the teacher's curve"
    students = set()
    for trial in runs["trial"]:
        made, used = artifacts(trial)
        assert used == {name} and [one.partition("-")[0] for one in made] == ["student"]
        students |= made
        assert len([step for step in history(trial) if "validation/quality" in step]) == 2, "a point an epoch"
        assert {"accuracy", "latency_p50_ms", "speedup"} <= set(summary(trial))
        assert config(trial)["student"]["_target_"].rpartition(".")[2] in ("StaticStudent", "ConvolutionStudent")
    members, used = artifacts(whole)
    assert members and used <= students | {name} and used & students
    assert all(member.startswith(swept.name) for member in members)


def test_a_sweep_goes_on_where_it_was(place, swept, capsys):
    assert sweep(place, 4) == 0
    told = re.findall(r"trial (\d)/4", capsys.readouterr().err)
    assert told == ["4"], "finished trials were kept and only the new one was run"


def test_report_tells_the_effects_of_crossed_runs(place, tmp_path, capsys):
    crossed = ["seed=0,1", "teacher.seed=0", "quantization=none,dynamic"]
    assert millis(tmp_path, "compress", "-m", *common(place), "student=static", *crossed) == 0
    outputs = tmp_path / "outputs"
    assert len(list((outputs / "cache" / "teacher").glob("*.json"))) == 1, "one teacher for both seeds"
    capsys.readouterr()
    assert millis(tmp_path, "report", "effects=[quantization]") == 0
    output = capsys.readouterr().out
    assert "quantization: none (off), Quantization (on)" in output and "2 seeds" in output
    effects = json.loads((outputs / "effects.json").read_text())
    assert [cell["on"] for cell in effects["cells"]] == [[], ["quantization"]]
    assert millis(tmp_path, "report", f"records={outputs / 'compress'}") == 0
    assert "static" in (outputs / "compress" / "frontier.html").read_text(), "all records of a folder on one page"
    assert millis(tmp_path, "report", "effects=[prunin]") == 1
    assert "no record's config has 'prunin' (did you mean 'pruning'" in capsys.readouterr().err


def test_report_draws_the_records_again(place, swept, capsys):
    page = place / "again.html"
    assert (
        millis(place, "report", f"records={swept / 'records.jsonl'}", f"html={page}", "budget.latency_p50_ms=1000") == 0
    )
    assert page.is_file()
    assert "keeps the budget (p50 ≤ 1000 ms) with probability > 99 %: validation accuracy" in capsys.readouterr().out


def test_a_sweep_under_an_impossible_budget_names_the_nearest(place, swept, capsys, monkeypatch):
    monkeypatch.setattr("millis.benchmark.latency.requests_for", lambda quantile: 20)  # a p99 takes a thousand
    monkeypatch.setattr("millis.benchmark.extend.EXTENSIONS", 0)
    assert sweep(place, 2, "budget.latency_p99_ms=0.00001") == 0
    captured = capsys.readouterr()
    assert captured.err.count("over budget before training") == 2
    assert "No model keeps the budget (p99 ≤ 1e-05 ms) with probability 95 %. The nearest is" in captured.out
    assert "2 of 2 trials were over the budget before training and skipped" in captured.out


@pytest.mark.parametrize(
    ("command", "arguments", "message"),
    [
        ("train", ["data.text=txt"], "has no column 'txt': found text, label"),
        ("predict", ["artifact=nowhere"], "nowhere is not a millis artifact"),
        ("report", ["records=nothing.jsonl"], "no records at nothing.jsonl"),
        ("benchmark", ["artifacts=[nowhere]"], "nowhere is not a millis artifact"),
        ("compress", ["student.layers=3"], "student.layers=3"),
        ("compress", ["budget.latency_p50_ms=2ms"], "budget.latency_p50_ms=2ms: expected a positive number"),
        ("train", ["distillation@teacher.objective=logits"], "a teacher has no teacher"),
        (
            "compress",
            ["backend=inductor", "benchmark.where=http://127.0.0.1:9"],
            "an agent runs no code that it is sent",
        ),
        ("compress", ["student.layers=1", "distillation.alpha=2"], "distillation.alpha=2: expected 0 (labels only)"),
    ],
)
def test_faults_are_one_line_without_traceback(place, capsys, command, arguments, message):
    given = common(place) if command in ("train", "compress") else []
    assert millis(place, command, *given, *arguments) in (1, 2)
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert error.strip().splitlines()[-1].startswith("error: ")


def test_without_the_hub_an_unknown_model_says_what_to_do(place, capsys, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    data = ["data=local", f"data.path={place / 'data'}", "logger=none"]
    assert millis(place, "train", *data, "model=hub", "model.name=no/such-model") == 1
    error = capsys.readouterr().err
    assert "no/such-model" in error and "model=scratch" in error and "Traceback" not in error


def test_the_fastest_runtime_is_found_kept_and_told(place, capsys):
    recipe = [*common(place), "student=static", "backend=auto", "backend.rounds=3", "backend.requests=3"]
    assert millis(place, "compress", *recipe) == 0
    records = read_records(Path(re.search(r"records: (\S+)", capsys.readouterr().out)[1]))
    record = records[-1]
    candidates = record.environment["backend_candidates"]
    assert {candidate["name"] for candidate in candidates} == {"native", "onnxruntime", "openvino", "eager"}
    assert any(note.startswith(f"backend=auto took {candidates[0]['name']} ") for note in record.notes)
    assert record.config["backend"]["_target_"].startswith(f"millis.backends.{candidates[0]['name']}.")
    timed = [candidate["speedup"] for candidate in candidates if not candidate["refused"]]
    assert timed == sorted(timed, reverse=True)
    (kept,) = (place / "outputs" / "cache" / "runtime").glob("*.json")
    before = kept.stat().st_mtime_ns
    assert millis(place, "compress", *recipe) == 0
    assert kept.stat().st_mtime_ns == before, "it was measured again"


def test_benchmark_tells_more_where_it_is_asked(place, capsys, monkeypatch):
    monkeypatch.setattr(analysis, "SECONDS", 0.05)
    rates = lambda threads, cpus, timeout_s: Rates(threads, 1e9, 1e9, 1e9, 1e9, 1 << 20)  # noqa: E731
    monkeypatch.setattr(analysis, "measure_rates", rates)
    assert millis(place, "compress", *common(place), "student=static") == 0
    arguments = [f"artifacts=[{artifact_of(capsys.readouterr().out)}]", "data=local", f"data.path={place / 'data'}"]
    assert millis(place, "benchmark", *arguments, *BRIEF, "goal=latency") == 1
    assert "goal=latency is read off the curves: add curves=true" in capsys.readouterr().err

    asked = ["limit=true", "profile=true", "curves=true", "goal=latency"]
    assert millis(place, "benchmark", *arguments, *BRIEF, *asked) == 0
    output = capsys.readouterr().out
    for text in ("Against the limit", "The most expensive operators of", "Settings of", "for latency take threads="):
        assert text in output
    path = Path(re.search(r"records: (\S+)", output)[1])
    (record,) = read_records(path)
    assert set(record.analysis) == {"limit", "profile", "curves"}
    assert record.analysis["limit"]["floor_ms"] > 0 and len(record.analysis["profile"]) <= 10
    assert {point["axis"] for point in record.analysis["curves"]} == {"threads", "streams", "batch", "length"}
    assert millis(place, "report", f"records={path}", f"html={place / 'more.html'}") == 0
    assert 'id="curves-chart"' in (place / "more.html").read_text()
