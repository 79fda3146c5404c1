"""The sweeper hands its trials to Hydra's launchers: several at once on one machine, or jobs of a cluster."""

import os
import subprocess
import sys
from pathlib import Path

import optuna
import pytest

SOURCE = Path(__file__).parents[2] / "src"

CONFIG = """
defaults: [{override hydra/sweeper: optuna}, {override hydra/launcher: %s}, _self_]
layers: 1
hydra:
  mode: MULTIRUN
  sweep: {dir: out}
  launcher: %s
  sweeper:
    directions: {latency_ms: minimize}
    storage: journal:///study.log
    sampler: {_target_: optuna.samplers.RandomSampler}
    n_trials: 5
    n_jobs: 2
    space: {layers: {int: [1, 1000]}}
"""

APP = """
import os
from pathlib import Path
import hydra
from hydra.core.hydra_config import HydraConfig

@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(config):
    folder = Path(HydraConfig.get().runtime.output_dir)
    (folder / "process").write_text(str(os.getpid()))
    if folder.name == "3":
        raise ValueError("this trial fails")
    return {"metrics": {"latency_ms": float(config.layers)}}

if __name__ == "__main__":
    main()
"""

LAUNCHERS = {
    "joblib": ("hydra_plugins.hydra_joblib_launcher", "{n_jobs: 2}"),
    "submitit_local": ("hydra_plugins.hydra_submitit_launcher", "{timeout_min: 5, cpus_per_task: 1}"),
}


def ran(folder, app, code=0):
    """Run `app` in a process of its own; the storage that its study lies in."""
    (folder / "app.py").write_text(app)
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    run = subprocess.run(
        [sys.executable, "app.py"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.returncode == code, run.stderr
    return optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(folder / "study.log")))


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_trials_run_in_processes_of_their_own_and_are_told_in_order(launcher, tmp_path):
    plugin, options = LAUNCHERS[launcher]
    pytest.importorskip(plugin, reason=f"the launcher {launcher} is not installed")
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "config.yaml").write_text(CONFIG % (launcher, options))
    storage = ran(tmp_path, APP)
    trials = optuna.load_study(study_name="study", storage=storage).trials
    assert [trial.state.name for trial in trials] == ["COMPLETE", "COMPLETE", "COMPLETE", "FAIL", "COMPLETE"]
    assert trials[3].user_attrs["error"] == "ValueError: this trial fails"
    for trial in trials:
        if trial.state.name == "COMPLETE":
            assert trial.values == [trial.params["layers"]], "an answer came to another trial's question"
    processes = {(tmp_path / "out" / str(trial.number) / "process").read_text() for trial in trials}
    assert len(processes) >= 2


KILLED = """
import os, signal
from pathlib import Path
import hydra
from hydra.core.hydra_config import HydraConfig

@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(config):
    number = Path(HydraConfig.get().runtime.output_dir).name
    began = Path(__file__).parent / f"began-{number}"
    with began.open("a") as file:
        file.write("x")
    if number == "2" or (number == "1" and began.read_text() == "x"):
        os.kill(os.getpid(), signal.SIGKILL)
    return {"metrics": {"latency_ms": float(config.layers)}}

if __name__ == "__main__":
    main()
"""


def test_a_job_whose_process_is_killed_takes_no_other_trial_with_it(tmp_path):
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="the launcher joblib is not installed")
    (tmp_path / "conf").mkdir()  # submitit's local jobs do it as well, and take a minute to say so
    (tmp_path / "conf" / "config.yaml").write_text(CONFIG % ("joblib", "{n_jobs: 2}"))
    trials = optuna.load_study(study_name="study", storage=ran(tmp_path, KILLED)).trials
    # Trial 1 is killed once, trial 2 each time; 0 and 3 ran beside them.
    assert [trial.state.name for trial in trials] == ["COMPLETE", "COMPLETE", "FAIL", "COMPLETE", "COMPLETE"]
    assert [trial.number for trial in trials] == [0, 1, 2, 3, 4], "nothing was asked for twice"
    assert trials[2].user_attrs["error"]
    assert (tmp_path / "began-2").read_text() == "xx"


def test_a_launcher_that_loses_everything_ends_the_sweep_and_spends_little_of_it(tmp_path):
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="the launcher joblib is not installed")
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "config.yaml").write_text(CONFIG % ("joblib", "{n_jobs: 2}"))
    storage = ran(tmp_path, KILLED.replace('if number == "2"', 'if "2"'), code=1)
    trials = optuna.load_study(study_name="study", storage=storage).trials
    assert [trial.state.name for trial in trials] == ["FAIL", "FAIL", "RUNNING", "RUNNING"]  # to be tried again


MILLIS = """
from pathlib import Path
from millis.cli.hydra_app import launch

def task(cfg):
    return {"metrics": {"quality": cfg.distillation.alpha, "latency_p50_ms": float(len(cfg.study.name))}}

if __name__ == "__main__":
    outputs = f"paths.outputs={Path(__file__).parent / 'outputs'}"
    launch("sweep", task, [
        outputs, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "hydra.sweeper.listener=null",
        "study.storage=journal:///study.log", "study.enqueue=[]", "study.n_trials=2", "study.n_jobs=2",
    ])
"""


def test_a_sweep_of_ours_composes_in_a_launchers_process(tmp_path):
    # Its configs name resolvers of ours, which a process that has never seen the command line has to know.
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="the launcher joblib is not installed")
    storage = ran(tmp_path, MILLIS)
    (name,) = optuna.get_all_study_names(storage)
    trials = optuna.load_study(study_name=name, storage=storage).trials
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 2
    assert [trial.user_attrs["metrics"]["latency_p50_ms"] for trial in trials] == [len(name)] * 2
