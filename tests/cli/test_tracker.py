"""What the tracker that a config names keeps, and of what."""

from types import SimpleNamespace

import pytest
import yaml

from millis import tracking
from millis.cli.hydra_app import composed
from millis.cli.tracker import ConfiguredTracker


@pytest.fixture
def tracker(tmp_path):
    return lambda *overrides: ConfiguredTracker(composed("compress", [f"paths.outputs={tmp_path}", *overrides]))


def test_without_a_logger_nothing_is_kept(tracker, tmp_path):
    quiet = tracker("logger=none")
    with quiet.opened("student", "trial", {"seed": 1}) as kept:
        assert not kept.logger and kept.run is None
    assert not quiet.in_wandb and not list(tmp_path.iterdir())


@pytest.mark.parametrize(("overrides", "name"), [([], "student"), (["name=mine"], "mine")])
def test_any_logger_has_a_run_under_the_configs_name_or_the_one_given(tracker, tmp_path, overrides, name):
    with tracker("logger=csv", "group=study", *overrides).opened("student", "trial", {"seed": 1}) as kept:
        kept.logger.save()
    (said,) = tmp_path.rglob("hparams.yaml")
    assert said == tmp_path / "csv" / "study" / name / "hparams.yaml"
    assert yaml.safe_load(said.read_text()) == {"seed": 1, "name": name}


@pytest.fixture
def wandb(monkeypatch):
    """W&B, made up: what it was asked for, and whether the run has ended."""
    seen = SimpleNamespace(ended=False, refuses=False)

    def open_run(logger, **settings):
        seen.logger, seen.settings = logger, settings
        return None if seen.refuses else SimpleNamespace(experiment=None, finish=lambda: setattr(seen, "ended", True))

    monkeypatch.setattr(tracking, "prepare", lambda outputs: setattr(seen, "outputs", outputs))
    monkeypatch.setattr(tracking, "open_run", open_run)
    return seen


def test_a_run_of_wandb_ends_with_the_work_even_when_that_fails(tracker, tmp_path, wandb):
    with pytest.raises(InterruptedError), tracker("group=study").opened("student", "trial", {"seed": 1}) as kept:
        assert kept.run is not None and kept.logger
        assert not wandb.ended
        raise InterruptedError
    assert wandb.ended and wandb.outputs == tmp_path
    assert (wandb.logger["group"], wandb.logger["name"]) == ("study", "student")
    assert wandb.settings == {"name": "student", "job_type": "trial", "config": {"seed": 1, "name": "student"}}


def test_where_wandb_cannot_be_used_the_work_goes_on(tracker, wandb):
    wandb.refuses = True
    with tracker().opened("student", "trial", {}) as kept:
        assert not kept.logger and kept.run is None


def test_the_config_is_left_as_it_is(tmp_path):
    cfg = composed("compress", ["logger=none", f"paths.outputs={tmp_path}"])
    with ConfiguredTracker(cfg).opened("student", "trial", {}):
        assert cfg.name is None
