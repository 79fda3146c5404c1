"""Whether a command runs once or sweeps, against what Hydra finds by composing its config."""

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_automatic_config_search_path
from hydra.core.utils import JobRuntime
from hydra.types import RunMode
from omegaconf import OmegaConf

from millis.cli import mode
from millis.cli.groups import conf_dir
from millis.cli.hydra_app import register_resolvers


@pytest.fixture
def found(monkeypatch):
    """What a run with `overrides` under a command's config is taken for, Hydra's own way counted."""
    mode.read_alone()
    register_resolvers()
    monkeypatch.setattr(JobRuntime.instance(), "conf", JobRuntime.instance().conf.copy())
    composed = []
    own = Hydra._millis_composed
    monkeypatch.setattr(Hydra, "_millis_composed", lambda *given: composed.append(given) or own(*given))

    def find(command, *overrides, path=None):
        composed.clear()
        places = create_automatic_config_search_path(None, "millis.cli.hydra_app", str(path or conf_dir()))
        hydra = Hydra(command, ConfigLoaderImpl(places))
        return hydra.get_mode(command, list(overrides)), len(composed), own(hydra, command, list(overrides))

    return find


@pytest.mark.parametrize("command", ["train", "compress", "sweep", "benchmark", "predict"])
def test_a_commands_file_says_what_the_composed_config_says(found, command):
    quick, composed, right = found(command)
    assert quick == right == (RunMode.MULTIRUN if command == "sweep" else None)
    assert composed == 0


def test_what_may_be_said_elsewhere_is_composed(found, tmp_path):
    assert found("compress", "hydra.mode=MULTIRUN")[:2] == (RunMode.MULTIRUN, 1)
    assert found("sweep", "++hydra.mode=RUN")[:2] == (RunMode.RUN, 1)
    (tmp_path / "compress.yaml").write_text("hydra: {mode: MULTIRUN}\n")
    assert found("compress", path=tmp_path)[:2] == (RunMode.MULTIRUN, 1)


def test_no_other_file_says_it():
    files = [path for path in conf_dir().rglob("*.yaml") if "mode" in (OmegaConf.load(path).get("hydra") or {})]
    assert files == [conf_dir() / "sweep.yaml"]


def test_it_is_installed_once():
    mode.read_alone()
    before = Hydra.get_mode
    mode.read_alone()
    assert Hydra.get_mode is before is mode._mode
