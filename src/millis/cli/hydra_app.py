"""Hydra, in one place: where the config lies, the resolvers it uses, and its errors in plain words."""

import errno
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hydra
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import (
    ConfigCompositionException,
    InstantiationException,
    MissingConfigException,
    OverrideParseException,
)
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from millis.cli import targets
from millis.errors import MillisError, nearest
from millis.store import fingerprint

Task = Callable[[DictConfig], Any]

UNWRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENOTDIR}


def conf_dir() -> Path:
    """The folder of configs: `conf/` of a checkout, or the copy inside an installed package."""
    package = Path(__file__).resolve().parents[1]
    checkout = package.parents[1] / "conf"
    return checkout if (checkout / "base.yaml").is_file() else package / "conf"


def register_resolvers() -> None:
    """What the YAML files compute: `${millis.basename:PATH}` and `${millis.fingerprint:NODE,NODE,...}`."""
    OmegaConf.register_new_resolver("millis.basename", lambda path: Path(str(path)).resolve().name, replace=True)
    OmegaConf.register_new_resolver("millis.fingerprint", _fingerprint, replace=True)


def _fingerprint(*keys: str, _root_: DictConfig) -> str:
    """6 hex digits over the named nodes: two studies that search differently get two names."""
    nodes = [OmegaConf.select(_root_, key) for key in keys]
    return fingerprint(
        [OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node for node in nodes]
    )[:6]


def launch(command: str, task: Task, arguments: list[str]) -> None:
    """Run `task` under `conf/<command>.yaml` with Hydra's command line.

    Raises:
        Exception: whatever the task raised, without Hydra's own printing around it.
    """
    register_resolvers()
    targets.guard()
    os.environ["HYDRA_FULL_ERROR"] = "1"  # let faults reach us instead of being printed by Hydra
    sys.argv = [f"millis {command}", *arguments]
    faults: list[BaseException] = []

    def guarded(cfg: DictConfig) -> Any:
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            return task(cfg)  # the sweeper decides what a failed job means
        try:
            return task(cfg)
        except Exception as error:
            faults.append(error)
            return None

    hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name=command)(guarded)()
    if faults:
        raise faults[0]


def composed(command: str, overrides: list[str]) -> DictConfig:
    """The config of `millis <command> <overrides>`, for the Python API."""
    register_resolvers()
    targets.guard()
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf_dir()), version_base="1.3", job_name=command):
        cfg: DictConfig = compose(command, overrides)
        return cfg


def explain(error: BaseException, command: str, arguments: list[str]) -> str | None:
    """A fault in the user's own words, or None where it is a bug that deserves its traceback."""
    for cause in _causes(error):
        if isinstance(cause, MillisError):
            return str(cause)
    missing = re.search(r"[Mm]issing mandatory value: (\S+)", str(error))
    if missing:
        key = missing[1]
        return f"{key} is needed: add {key}=... to the command (`millis {command} --help` shows what there is)"
    if isinstance(error, ConfigCompositionException | OverrideParseException):
        return _composition(error, command, arguments)
    if isinstance(error, OSError) and error.errno in UNWRITABLE:  # Hydra makes the run's folder before anything else
        return (
            f"cannot use {error.filename}: {error.strerror}. Mend that or choose another folder with paths.outputs=..."
        )
    if isinstance(error, InstantiationException | OmegaConfBaseException):
        return str(error).split("\nfull_key")[0].replace("\n", " ")
    return None


def _composition(error: BaseException, command: str, arguments: list[str]) -> str:
    """Why the overrides do not make a config."""
    if isinstance(error, OverrideParseException):
        return f"cannot read the override {error.override!r}: {error.message.splitlines()[0]}"
    if isinstance(error, MissingConfigException) and error.options:
        group, _, wanted = (error.missing_cfg_file or "").rpartition("/")
        options = ", ".join(error.options)
        return f"{group} has no {wanted!r}{nearest(wanted, error.options)}. Expected one of: {options}"
    return _unknown_key(str(error), command, arguments)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _unknown_key(message: str, command: str, arguments: list[str]) -> str:
    """Hydra's message, and for an unknown key or group the nearest that exists."""
    first = message.splitlines()[0]
    found = re.search(r"Could not override '([^']+)'", message) or re.search(r"Key '([^']+)' is not in struct", message)
    if not found:
        return first
    wanted = found[1].split("@")[0]
    overrides = [argument for argument in arguments if "=" in argument and argument.split("=")[0] != found[1]]
    try:
        valid = [*_keys(composed(command, overrides)), *_groups()]
    except Exception:  # other overrides may be at fault as well; the plain names still help
        valid = [*_keys(composed(command, [])), *_groups()]
    return f"no config key {wanted!r}{nearest(wanted, valid)}. `millis {command} --cfg job` shows every key"


def _keys(node: Any, prefix: str = "") -> Iterator[str]:
    if isinstance(node, DictConfig) and not (node._is_missing() or node._is_none()):
        for key in map(str, node):
            name = f"{prefix}{key}"
            yield name
            value = node._get_node(key)
            yield from _keys(value, f"{name}.")


def _groups() -> list[str]:
    root = conf_dir()
    return [str(path.relative_to(root)) for path in root.rglob("*") if path.is_dir()]
