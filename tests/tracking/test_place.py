"""Where W&B runs land, and who counts as logged in."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra.utils import instantiate
from omegaconf import OmegaConf

from millis import tracking
from millis.errors import MillisError

LOGGERS = Path(__file__).parents[2] / "conf" / "logger"


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


def test_wandb_is_imported_only_when_a_run_is_opened(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from millis import tracking; tracking.prepare(Path(sys.argv[1])); "
        "assert 'wandb' not in sys.modules"
    )
    source = str(Path(tracking.__file__).parents[2])
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
