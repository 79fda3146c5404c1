"""Whether a command runs once or sweeps, told by its own file.

Hydra composes the whole config to find that out, and then once more to run. Where nothing but the command's file can
say it (no overrides of Hydra's own, no further folders of configs), the file is read alone; else Hydra does as ever.
"""

from collections.abc import Sequence
from typing import Any

from hydra._internal.hydra import Hydra
from hydra.types import RunMode
from omegaconf import OmegaConf

from millis.cli.groups import conf_dir

OWN = {"hydra": "pkg://hydra.conf", "main": str(conf_dir()), "schema": "structured://"}  # provider of configs → place


def read_alone() -> None:
    """Have every run of Hydra in this process find its mode so."""
    if not hasattr(Hydra, "_millis_composed"):
        Hydra._millis_composed = Hydra.get_mode
        Hydra.get_mode = _mode


def _mode(hydra: Any, config_name: str, overrides: Sequence[str]) -> RunMode | None:
    places = hydra.config_loader.get_search_path().get_path()
    file = conf_dir() / f"{config_name}.yaml"
    ours = all(OWN.get(place.provider) == place.path for place in places) and file.is_file()
    if not ours or any(override.lstrip("+~").startswith("hydra") for override in overrides):
        composed: RunMode | None = hydra._millis_composed(config_name, overrides)
        return composed
    mode = OmegaConf.select(OmegaConf.load(file), "hydra.mode")
    return None if mode is None else RunMode[mode]
