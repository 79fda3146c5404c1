"""Offline W&B runs are read back from their files, byte by byte, so that what a sync sends is what was meant."""

import json
import os
import struct
import subprocess
import sys
from collections import ChainMap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra.utils import instantiate
from omegaconf import OmegaConf

from millis import tracking
from millis.errors import MillisError
from millis.record import Record

LOGGERS = Path(__file__).parents[1] / "conf" / "logger"
LOGGER = {"_target_": "pytorch_lightning.loggers.WandbLogger", "project": "millis"}


@pytest.fixture
def outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A prepared outputs folder, with a home in which nobody is logged in; the environment is restored after."""
    for name in [name for name in os.environ if name.startswith("WANDB_")] + ["NETRC"]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    # `prepare` writes the environment: with a value recorded for each name, monkeypatch restores what was there.
    for name in ("DIR", "DATA_DIR", "CACHE_DIR", "CONFIG_DIR", "MODE", "SILENT"):
        monkeypatch.setenv(f"WANDB_{name}", "")
        monkeypatch.delenv(f"WANDB_{name}")
    yield tmp_path / "outputs"
    tracking.finish()


def messages(run: Path) -> Iterator[Any]:
    """The records of an offline run: LevelDB's log format, each payload a protocol buffer.

    After a 7-byte header come blocks of 32 KiB with chunks `crc32 u32, length u16, kind u8, payload`; kinds 1 and 4
    end a record. Less than 7 bytes at the end of a block are padding.
    """
    from wandb.proto import wandb_internal_pb2

    (path,) = run.glob("run-*.wandb")
    data, position, payload = path.read_bytes(), 7, b""
    while position + 7 <= len(data):
        left = 32768 - position % 32768
        if left < 7:
            position += left
            continue
        _, length, kind = struct.unpack("<IHB", data[position : position + 7])
        position += 7
        payload += data[position : position + length]
        position += length
        if kind in (1, 4):
            message = wandb_internal_pb2.Record()
            message.ParseFromString(payload)
            payload = b""
            yield message


def values(items: Any) -> dict[str, Any]:
    return {"/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in items}


def history(run: Path) -> list[dict[str, Any]]:
    return [values(message.history.item) for message in messages(run) if message.WhichOneof("record_type") == "history"]


def summary(run: Path) -> dict[str, Any]:
    updates = [values(m.summary.update) for m in messages(run) if m.WhichOneof("record_type") == "summary"]
    return dict(ChainMap(*reversed(updates)))


def config(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for message in messages(run):
        if message.WhichOneof("record_type") == "run":
            found |= values(message.run.config.update)
        if message.WhichOneof("record_type") == "config":
            found |= values(message.config.update)
    return found


def group_and_name(run: Path) -> tuple[str, str]:
    (start,) = [message.run for message in messages(run) if message.WhichOneof("record_type") == "run"]
    return start.run_group, start.display_name


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


def artifact(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(bytes(100))
    (folder / "manifest.json").write_text("{}")
    return folder


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


def test_a_study_can_be_read_back_from_its_offline_run(outputs: Path) -> None:
    import plotly.graph_objects as go

    tracking.prepare(outputs)
    folder = artifact(outputs / "artifacts" / "abc")
    members = [record("transformer 3x384 int8", 92.0, 12.0, "artifacts/abc", {"accuracy": (90.0, 94.0)})]
    run = tracking.log_sweep(
        "clinc study",
        [*members, record("static 256", 70.0, 11.0)],
        members,
        logger=LOGGER,
        root=outputs,
        trials={"complete": 2},
        figure=go.Figure(go.Scatter(x=[1.5], y=[92.0])),
        config={"study": {"trials": 2}},
    )

    assert run is not None and run.parent == outputs / "wandb" and run.name.startswith("offline-run-")
    assert group_and_name(run) == ("clinc study", "clinc study")
    assert config(run)["study"] == {"trials": 2}
    numbers = summary(run)
    assert (numbers["best_accuracy"], numbers["best_speedup"], numbers["trials/complete"]) == (92.0, 12.0, 2)
    (shown,) = [step for step in history(run) if "frontier/path" in step]
    frontier = json.loads((run / "files" / shown["frontier/path"]).read_text())
    assert frontier["data"] == [["transformer 3x384 int8", "student", 3, 92.0, 90.0, 94.0, 12.0]]
    assert len(json.loads((run / "files" / shown["records/path"]).read_text())["data"]) == 2
    chart = json.loads((run / "files" / shown["frontier_chart/path"]).read_text())
    assert chart["data"][0]["y"] == [92.0]

    models = [m.request.log_artifact.artifact for m in messages(run) if m.request.HasField("log_artifact")]
    models += [m.artifact for m in messages(run) if m.WhichOneof("record_type") == "artifact"]
    (model,) = [found for found in models if found.type == "model"]
    assert model.name == "clinc-study-transformer-3x384-int8"
    assert {entry.local_path for entry in model.manifest.contents} == {str(path) for path in folder.iterdir()}
    assert not list((outputs.parent / "home").rglob("*")), "W&B left files in the user's home"


def test_every_file_a_later_sync_needs_lies_under_outputs(outputs: Path) -> None:
    tracking.prepare(outputs)
    artifact(outputs / "artifacts" / "abc")
    members = [record("a", 92.0, 12.0, "artifacts/abc")]
    run = tracking.log_sweep("s", members, members, logger=LOGGER, root=outputs, trials={})
    assert run is not None
    needed = [
        Path(entry.local_path)
        for message in messages(run)
        if message.WhichOneof("record_type") == "artifact"
        for entry in message.artifact.manifest.contents
    ]
    assert len(needed) >= 3  # the weights and the manifest of the model, and the tables
    for path in needed:
        assert path.is_file() and path.is_relative_to(outputs)


def test_curves_of_a_lightning_fit_can_be_read_back(outputs: Path) -> None:
    import pytorch_lightning as pl
    import torch
    import wandb

    class Line(pl.LightningModule):
        """Logs the step number squared, so that the curve is known."""

        def __init__(self) -> None:
            super().__init__()
            self.line = torch.nn.Linear(1, 1)

        def training_step(self, batch: list[torch.Tensor], index: int) -> torch.Tensor:
            self.log("train/square", float(index**2))
            return self.line(batch[0]).square().mean()

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), lr=0.0)

    torch.set_num_threads(1)
    tracking.prepare(outputs)
    runs = {}
    for name in ("first", "second"):  # in one process, as a sweep without a launcher does it
        node = OmegaConf.create({"logger": OmegaConf.load(LOGGERS / "wandb.yaml"), "group": "study", "name": name})
        logger = instantiate(OmegaConf.merge(node, {"paths": {"outputs": str(outputs)}}).logger)
        logger.log_hyperparams({"student": {"layers": 3}, "name": name})
        trainer = pl.Trainer(
            max_epochs=1,
            accelerator="cpu",
            logger=logger,
            log_every_n_steps=1,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(Line(), torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.ones(4, 1)), batch_size=1))
        runs[name] = Path(logger.experiment.dir).parent
        tracking.finish()
    wandb.teardown()  # waits for the files

    assert runs["first"] != runs["second"]
    for name, run in runs.items():
        assert run.parent == outputs / "wandb" and run.name.startswith("offline-run-")
        assert group_and_name(run) == ("study", name)
        assert config(run)["student"] == {"layers": 3} and config(run)["name"] == name
        curve = {step["trainer/global_step"]: step["train/square"] for step in history(run) if "train/square" in step}
        assert curve == {0: 0.0, 1: 1.0, 2: 4.0, 3: 9.0}


def test_studies_logged_by_parallel_processes_keep_their_config_and_summary(outputs: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from millis import tracking; tracking.prepare(Path(sys.argv[1]))\n"
        f"print(tracking.log_sweep(sys.argv[2], [], [], logger={LOGGER!r}, root=Path('.'), "
        "trials={'complete': int(sys.argv[3])}, config={'study': sys.argv[2]}))"
    )
    source = str(Path(tracking.__file__).parents[1])
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(outputs), f"study-{number}", str(number)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": source},
        )
        for number in (1, 2)
    ]
    for number, worker in zip((1, 2), workers, strict=True):
        printed, _ = worker.communicate()
        assert worker.returncode == 0
        run = Path(printed.strip().splitlines()[-1])
        assert config(run)["study"] == f"study-{number}"
        assert summary(run)["trials/complete"] == number


def test_a_member_whose_artifact_is_gone_is_named_before_a_run_is_opened(outputs: Path) -> None:
    tracking.prepare(outputs)
    members = [record("a", 92.0, 12.0, "artifacts/gone")]
    with pytest.raises(MillisError, match=r"the artifact of 'a' is not at .*gone; expected .* Run the sweep again"):
        tracking.log_sweep("s", members, members, logger=LOGGER, root=outputs, trials={})
    assert not list((outputs / "wandb").glob("*run-*"))


def test_a_refusal_by_wandb_says_what_to_do(outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import wandb

    def refuse(**_: Any) -> None:
        raise wandb.errors.CommError("timed out")

    monkeypatch.setattr(wandb, "init", refuse)
    with pytest.raises(MillisError, match=r"did not take the run of study 's': timed out.*set WANDB_MODE=offline"):
        tracking.log_sweep("s", [], [], logger=LOGGER, root=outputs, trials={})


def test_disabled_mode_is_respected(outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    tracking.prepare(outputs)
    assert tracking.log_sweep("s", [], [], logger=LOGGER, root=outputs, trials={}) is None
    assert not list((outputs / "wandb").glob("*run-*"))


def test_prepare_goes_offline_where_nobody_is_logged_in(outputs: Path) -> None:
    tracking.prepare(outputs)
    assert os.environ["WANDB_MODE"] == "offline"
    for name in ("WANDB_DIR", "WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR"):
        assert Path(os.environ[name]).is_relative_to(outputs)


def key_in_environment(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "k" * 40)


def key_in_netrc(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", "https://wandb.example.org")
    (home / ".netrc").write_text(f"machine wandb.example.org login user password {'k' * 40}\n")


def key_in_settings(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / ".config" / "wandb").mkdir(parents=True)
    (home / ".config" / "wandb" / "settings").write_text(f"[default]\napi_key = {'k' * 40}\n")


@pytest.mark.parametrize("key", [key_in_environment, key_in_netrc, key_in_settings])
def test_prepare_leaves_a_user_who_is_logged_in_online(
    outputs: Path, monkeypatch: pytest.MonkeyPatch, key: Any
) -> None:
    home = outputs.parent / "home"
    home.mkdir()
    key(home, monkeypatch)
    tracking.prepare(outputs)
    assert "WANDB_MODE" not in os.environ
    assert "WANDB_CONFIG_DIR" not in os.environ


def test_a_key_for_another_server_is_no_login(outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (outputs.parent / "home").mkdir()
    key_in_netrc(outputs.parent / "home", monkeypatch)
    monkeypatch.setenv("WANDB_BASE_URL", "https://other.example.org")
    tracking.prepare(outputs)
    assert os.environ["WANDB_MODE"] == "offline"


def test_prepare_names_a_folder_that_cannot_be_made(outputs: Path) -> None:
    outputs.write_text("a file")
    with pytest.raises(MillisError, match=r"cannot make .*outputs/wandb: .*paths\.outputs=.*logger=none"):
        tracking.prepare(outputs)


def test_wandb_is_imported_only_when_a_study_is_logged(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from millis import tracking; tracking.prepare(Path(sys.argv[1])); "
        "tracking.finish(); assert 'wandb' not in sys.modules"
    )
    source = str(Path(tracking.__file__).parents[1])
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, env={**os.environ, "PYTHONPATH": source})


def test_the_logger_configs_say_which_of_them_is_wandb() -> None:
    nodes = {path.stem: yaml.safe_load(path.read_text()) for path in LOGGERS.glob("*.yaml")}
    assert {name for name, node in nodes.items() if tracking.uses_wandb(node)} == {"wandb"}


@pytest.mark.parametrize("name", ["csv", "tensorboard", "none"])
def test_the_other_loggers_can_be_made(name: str, tmp_path: Path) -> None:
    node = OmegaConf.create({"logger": OmegaConf.load(LOGGERS / f"{name}.yaml"), "group": "study", "name": "run"})
    logger = instantiate(OmegaConf.merge(node, {"paths": {"outputs": str(tmp_path)}}).logger)
    if name == "none":
        assert logger is False  # what Trainer(logger=...) takes for none
    else:
        assert Path(logger.log_dir) == tmp_path / name / "study" / "run"
