"""What a config may name: `_target_`s of millis, and of the few libraries that it composes with; nothing else is run.

A config that somebody hands on is data, but Hydra calls whatever it names, and what it refuses of itself is a list of
known dangers, which `torch.load` is not on. So every name is held against `PREFIXES`: when a config is composed, before
Hydra makes its callbacks, loggers, launcher and sweeper of it, and again when a node is instantiated, where it is also
looked at what the name leads to, for `millis.backends.eager.torch.load` is not of millis.

Own code is used by naming its package, `MILLIS_TRUSTED_TARGETS=mypackage,other.part millis ...`: who runs a command
says so, never a config.
"""

import os
from collections.abc import Iterator
from typing import Any

import hydra.utils
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from millis.errors import MillisError

TRUSTED = "MILLIS_TRUSTED_TARGETS"
PARTS = (
    "applications", "backends", "benchmark", "data", "distillation", "early_exit", "elastic", "factorization",
    "generation", "models", "pruning", "quantization", "storage", "tasks", "token_pruning", "training",
)  # fmt: skip
PREFIXES = (
    *(f"millis.{part}" for part in PARTS),
    "millis.pipeline.runtime.Auto",
    "millis.pipeline.runtime.First",
    "millis.pipeline.teacher_search.TeacherSearch",
    "millis.cli.sweep.Listener",
    "millis.sweep.rungs",
    "hydra._internal.core_plugins",
    "hydra.experimental.callbacks",
    "hydra_plugins",
    "optuna.samplers",
    "pytorch_lightning.loggers",
    "builtins.bool",  # logger=none
)
LOGGING = ("logging", "rich.logging", "colorlog")  # of `class` and `()` in hydra.job_logging and hydra.hydra_logging


def instantiate(node: Any, *args: Any, **kwargs: Any) -> Any:
    """`hydra.utils.instantiate` of a node that names nothing but what may be named.

    Raises:
        MillisError: a name outside of it; what to do for own code.
    """
    for where, name in _names(node):
        _check(where, name)
        _check_object(where, name)
    return hydra.utils.instantiate(node, *args, **kwargs)


def check(cfg: DictConfig) -> None:
    """Every name in a composed config, Hydra's own part included.

    Raises:
        MillisError: as `instantiate`.
    """
    for where, name in _names(cfg):
        _check(where, name)
        if where.startswith("hydra."):  # what Hydra makes itself
            _check_object(where, name)
    for group in ("job_logging", "hydra_logging"):
        for where, name in _names(OmegaConf.select(cfg, f"hydra.{group}"), ("class", "()"), f"hydra.{group}"):
            _check(where, name, LOGGING)


def guard() -> None:
    """Have `check` look at every config that this process composes: Hydra has no hook before it makes callbacks."""
    if not hasattr(ConfigLoaderImpl, "_millis_unchecked"):
        ConfigLoaderImpl._millis_unchecked = ConfigLoaderImpl.load_configuration
        ConfigLoaderImpl.load_configuration = _load_checked


def _load_checked(loader: Any, *args: Any, **kwargs: Any) -> DictConfig:
    cfg: DictConfig = loader._millis_unchecked(*args, **kwargs)
    check(cfg)
    return cfg


def _names(node: Any, keys: tuple[str, ...] = ("_target_",), where: str = "") -> Iterator[tuple[str, str]]:
    """(place, name) of every target in `node`, at any depth and behind interpolations."""
    if isinstance(node, DictConfig | dict):
        for key in map(str, node):
            value = _value(node, key)
            place = f"{where}.{key}".lstrip(".")
            if key in keys:
                yield place, str(value)
            yield from _names(value, keys, place)
    elif isinstance(node, ListConfig | list | tuple) and not (isinstance(node, ListConfig) and _is_empty(node)):
        for index in range(len(node)):
            yield from _names(_value(node, index), keys, f"{where}[{index}]")


def _is_empty(node: ListConfig) -> bool:
    return bool(node._is_none() or node._is_missing())


def _value(node: Any, key: Any) -> Any:
    """The value, or None where it is missing or cannot be resolved yet: then it cannot be run either."""
    try:
        return node[key]
    except OmegaConfBaseException:
        return None


def _check(where: str, name: str, prefixes: tuple[str, ...] = PREFIXES) -> None:
    if not _within(name, (*prefixes, *_trusted())):
        raise MillisError(
            f"{where}={name}: expected a name within {', '.join(prefixes)}, for a config runs what it names. For a "
            f"package of your own that you trust, set the environment variable {TRUSTED}=mypackage"
        )


def _check_object(where: str, name: str) -> None:
    """What a name leads to: something that was made where it may be made."""
    if _within(name, _trusted()):
        return
    try:
        made = hydra.utils.get_object(name)
    except Exception:  # nothing is there: whoever makes it says so
        return
    home = f"{getattr(made, '__module__', None)}.{getattr(made, '__qualname__', '')}"
    _check(where, home if not _within(home, (*PREFIXES, *_trusted())) else name)


def _within(name: str, prefixes: tuple[str, ...]) -> bool:
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)


def _trusted() -> tuple[str, ...]:
    return tuple(filter(None, (part.strip() for part in os.environ.get(TRUSTED, "").split(","))))
