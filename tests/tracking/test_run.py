"""Runs that are opened, broken and kept offline; read back from their files."""

import os
import signal
import subprocess
from pathlib import Path

import pytest
import torch
import wandb
from hydra.utils import instantiate
from omegaconf import OmegaConf
from wandb_files import artifacts, config, history, start, summary

from millis import tracking
from millis.errors import MillisError
from millis.tracking import Model, open_run

LOGGER = {"_target_": "pytorch_lightning.loggers.WandbLogger", "project": "millis", "group": "study"}


@pytest.fixture(autouse=True)
def ended():
    """W&B's service ends with the test, for it keeps the settings that it was started with."""
    wandb.teardown()
    yield
    wandb.teardown()


def opened(name="run", job_type="trial", **more):
    return open_run({**LOGGER, **more}, name=name, job_type=job_type, config={"seed": 3})


def test_a_run_has_its_group_its_kind_and_its_config(outputs):
    tracking.prepare(outputs)
    run = opened("a run", "teacher", tags=["x"])
    run.summarize({"accuracy": 90.0})
    run.finish()
    tracking.close()
    said = start(run.folder)
    assert (said.run_group, said.job_type, said.display_name, list(said.tags)) == ("study", "teacher", "a run", ["x"])
    assert config(run.folder)["seed"] == 3 and summary(run.folder)["accuracy"] == 90.0


def test_two_runs_of_one_process_do_not_mix(outputs):
    """A teacher may be trained while a student's run is open: an ensemble's."""
    tracking.prepare(outputs)
    student, teacher = opened("student"), opened("teacher", "teacher")
    teacher.experiment.log({"loss": 1.0})
    teacher.finish()
    student.experiment.log({"loss": 2.0})
    student.finish()
    tracking.close()
    assert [step["loss"] for step in history(student.folder)] == [2.0]
    assert [step["loss"] for step in history(teacher.folder)] == [1.0]


def test_a_run_says_what_it_was_made_of_and_what_it_made_offline_too(outputs, tmp_path):
    tracking.prepare(outputs)
    folder, weights = tmp_path / "teacher", tmp_path / "s.safetensors"
    folder.mkdir()
    (folder / "model.bin").write_bytes(bytes(10))
    weights.write_bytes(bytes(20))
    run = opened()
    run.uses(Model("teacher", "teacher-abc", folder))
    run.made(Model("student", "student of a/b", weights))
    run.finish()
    tracking.close()
    assert artifacts(run.folder) == ({"student-of-a-b"}, {"teacher-abc"})


def test_an_id_in_the_environment_is_shared_by_no_two_runs(outputs, monkeypatch):
    monkeypatch.setenv("WANDB_RUN_ID", "given")
    tracking.prepare(outputs)
    runs = [opened("teacher", "teacher"), opened("one"), opened("two")]
    for run in runs:
        run.finish()
    tracking.close()
    ids = [start(run.folder).run_id for run in runs]
    assert len(set(ids)) == 3 and all(one.startswith("given-") for one in ids)


@pytest.mark.parametrize(
    "environment",
    [{}, {"WANDB_API_KEY": "abc"}, {"WANDB_API_KEY": "k" * 40, "WANDB_BASE_URL": "http://127.0.0.1:9"}],
    ids=["no key", "no key at all like it", "no server"],
)
def test_where_wandb_takes_no_run_it_is_kept_offline_and_said(outputs, monkeypatch, caplog, environment):
    for name, value in {"WANDB_MODE": "online", "WANDB_INIT_TIMEOUT": "1", **environment}.items():
        monkeypatch.setenv(name, value)
    tracking.prepare(outputs)
    run = opened()
    run.finish()
    tracking.close()
    assert run.folder.name.startswith("offline-run-") and run.folder.parent == outputs / "wandb"
    assert "kept offline" in caplog.text and "logger=none" in caplog.text
    assert os.environ["WANDB_MODE"] == "offline", "what follows does not wait again"


def test_a_service_that_dies_costs_the_curves_and_not_the_training(outputs, caplog):
    tracking.prepare(outputs)
    run = opened()
    kill_service()
    run.experiment.log({"loss": 1.0})
    run.experiment.config.update({"x": 1})
    run.summarize({"accuracy": 1.0})
    run.made(Model("student", "gone", outputs / "gone.safetensors"))
    run.finish()
    assert caplog.text.count("the work goes on") == 1
    after = opened("after")
    assert after is not None, "the next run finds a service again"
    after.finish()


def kill_service():
    listed = subprocess.run(
        ["ps", "-o", "pid=,args=", "--ppid", str(os.getpid())], capture_output=True, text=True, check=True
    )
    (service,) = [line.split()[0] for line in listed.stdout.splitlines() if "wandb-core" in line]
    os.kill(int(service), signal.SIGKILL)
    while Path(f"/proc/{service}/exe").exists():  # a zombie has none
        pass


def test_a_key_that_wandb_does_not_take_is_named(outputs):
    tracking.prepare(outputs)
    with pytest.raises(MillisError, match=r"logger: .*'porject'.*Expected what wandb.init takes"):
        opened(porject="x")


def test_disabled_mode_is_respected(outputs, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    tracking.prepare(outputs)
    run = opened()
    run.experiment.log({"loss": 1.0})
    assert run.folder is None
    assert not list((outputs / "wandb").glob("*run-*"))


def test_curves_of_a_lightning_fit_can_be_read_back(outputs):
    import pytorch_lightning as pl

    class Line(pl.LightningModule):
        """Logs the step number squared, so that the curve is known."""

        def __init__(self):
            super().__init__()
            self.line = torch.nn.Linear(1, 1)

        def training_step(self, batch, index):
            self.log("train/square", float(index**2))
            return self.line(batch[0]).square().mean()

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.0)

    tracking.prepare(outputs)
    run = opened("curves")
    logger = instantiate(OmegaConf.create(LOGGER), _partial_=True)(experiment=run.experiment)
    trainer = pl.Trainer(
        max_epochs=1, accelerator="cpu", logger=logger, log_every_n_steps=1, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(Line(), torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.ones(4, 1)), batch_size=1))
    run.finish()
    tracking.close()
    curve = {
        step["trainer/global_step"]: step["train/square"] for step in history(run.folder) if "train/square" in step
    }
    assert curve == {0: 0.0, 1: 1.0, 2: 4.0, 3: 9.0}
