"""Hydra, in one place: the resolvers that configs use, composing, and running a command under Hydra's command line."""

import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra import compose, initialize_config_dir
from hydra._internal.utils import get_args_parser
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from millis.cli import mode, targets
from millis.cli.checks import check_choices, check_swept
from millis.cli.groups import conf_dir
from millis.cli.kinds import check
from millis.cli.plain import plain
from millis.store import fingerprint

__all__ = ["composed", "conf_dir", "launch", "register_resolvers", "settled", "split"]

PLACES = ("paths", "logger", "group", "name", "study", "hydra")  # of a config, whatever recipe it describes

Task = Callable[[DictConfig], Any]


def register_resolvers() -> None:
    """What the YAML files compute: `${millis.basename:PATH}` and `${millis.searched:NODE,NODE,...}`."""
    OmegaConf.register_new_resolver("millis.basename", lambda path: Path(str(path)).resolve().name, replace=True)
    OmegaConf.register_new_resolver("millis.searched", _searched, replace=True)


def _searched(*keys: str, _root_: DictConfig) -> str:
    """6 hex digits over all that a recipe is of, and the named nodes: two searches that differ get two names.

    Where things are kept and shown (`PLACES`) has no part in it.
    """
    own = [key for key in map(str, _root_) if key not in PLACES]
    return fingerprint({key: plain(OmegaConf.select(_root_, key)) for key in (*own, *keys)})[:6]


def launch(command: str, task: Task, arguments: list[str]) -> None:
    """Run `task` under `conf/<command>.yaml` with Hydra's command line, once its values are found to be of their kinds.

    Raises:
        Exception: whatever the task raised, without Hydra's own printing around it.
    """
    register_resolvers()
    targets.guard()
    mode.read_alone()
    os.environ["HYDRA_FULL_ERROR"] = "1"  # let faults reach us instead of being printed by Hydra
    arguments = [_home(argument) for argument in arguments]
    sys.argv = [f"millis {command}", *arguments]
    _check_sweep(command, arguments)
    faults: list[BaseException] = []

    def checked(cfg: DictConfig) -> Any:
        check_choices(cfg, HydraConfig.get().runtime)
        check(cfg)
        return task(cfg)

    def guarded(cfg: DictConfig) -> Any:
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            return checked(cfg)  # the sweeper decides what a failed job means
        try:
            return checked(cfg)
        except Exception as error:
            faults.append(error)
            return None

    hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name=command)(guarded)()
    if faults:
        raise faults[0]


def composed(command: str, overrides: Sequence[str], *, hydra_node: bool = False) -> DictConfig:
    """The config of `millis <command> <overrides>`; with `hydra_node`, Hydra's own part of it too."""
    register_resolvers()
    targets.guard()
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf_dir()), version_base="1.3", job_name=command):
        cfg: DictConfig = compose(command, [_home(one) for one in overrides], return_hydra_config=hydra_node)
        return cfg


def settled(command: str, overrides: Sequence[str]) -> DictConfig:
    """`composed`, for the Python API: its values are checked as those of the command line are.

    Raises:
        MillisError: see `millis.cli.kinds.check`.
    """
    cfg = composed(command, overrides, hydra_node=True)
    check_choices(cfg, cfg.hydra.runtime)
    with open_dict(cfg):
        del cfg["hydra"]
    check(cfg)
    return cfg


def split(arguments: Sequence[str]) -> tuple[list[str], list[Override]]:
    """The overrides of a command line that give one value, as written, and those that give several."""
    asked = get_args_parser().parse_args(list(arguments))
    overrides = _parsed(asked.overrides)
    several = [one for one in overrides if one.is_sweep_override()]
    return [one.input_line for one in overrides if not one.is_sweep_override()], several


def _check_sweep(command: str, arguments: Sequence[str]) -> None:
    """Compose a sweep without what it varies, and check all of it: before the sweeper sees it, and before a teacher.

    Hydra itself composes a sweep's config with the overrides that vary in it, and takes any fault for theirs.
    """
    asked = get_args_parser().parse_args(list(arguments))
    written = OmegaConf.load(conf_dir() / f"{command}.yaml")
    many = asked.multirun or OmegaConf.select(written, "hydra.mode") == "MULTIRUN"
    if not many or asked.help or asked.hydra_help or asked.cfg or asked.info or asked.config_name or asked.config_path:
        return
    single, several = split(arguments)
    further = [f"hydra.searchpath=[{_quoted(str(Path(asked.config_dir).absolute()))}]"] if asked.config_dir else []
    if asked.config_dir and not Path(asked.config_dir).is_dir():
        return  # Hydra says so
    cfg = composed(command, [*single, *further], hydra_node=True)
    runtime = cfg.hydra.runtime
    with open_dict(cfg):
        del cfg["hydra"]
    check_choices(cfg, runtime)
    check(cfg, complete=False)
    check_swept(cfg, runtime, several)


def _parsed(overrides: Sequence[str]) -> list[Override]:
    parsed: list[Override] = OverridesParser.create().parse_overrides([_home(one) for one in overrides])
    return parsed


def _home(argument: str) -> str:
    """`data.path=~/x` with the home folder in place of `~`: shells leave it, and Hydra cannot read it."""
    found = re.fullmatch(r"([^=\s]+=)(~(?:/.*)?)", argument)
    return found[1] + _quoted(str(Path(found[2]).expanduser())) if found else argument


def _quoted(text: str) -> str:
    return str(QuotedString(text, Quote.double).with_quotes())


def keys_of(node: Any, prefix: str = "") -> Iterator[str]:
    """Every dotted key of a config."""
    if isinstance(node, DictConfig) and not (node._is_missing() or node._is_none()):
        for key in map(str, node):
            name = f"{prefix}{key}"
            yield name
            yield from keys_of(node._get_node(key), f"{name}.")
