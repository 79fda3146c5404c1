"""Which options of a search can give what the task asks for; the others are left out of it, and why is said."""

from collections.abc import Callable
from typing import Any

from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf

from millis.cli.groups import conf_dir
from millis.cli.targets import instantiate
from millis.errors import MillisError
from millis.pipeline.recipe import ANSWERING, check_cut, family_of
from millis.sweep.space import Space


def capable(cfg: DictConfig, space: Space, say: Callable[[str], None]) -> Space:
    """`space` without the options that cannot answer as `cfg.task` asks, or are cut out of no model as `cfg.model` is.

    Args:
        say: Is given a sentence for each option that is left out.

    Raises:
        MillisError: no option of a group is left.
    """
    outputs = instantiate(cfg.task).outputs
    for group in ANSWERING:
        choices = getattr(space[group].distribution, "choices", ()) if group in space else ()
        family = family_of(instantiate(cfg.model), outputs) if group == "student" and "model" in cfg else None
        reasons = {option: _reason(group, option, outputs, family) for option in choices}
        left = [option for option, reason in reasons.items() if not reason]
        for option, reason in reasons.items():
            if reason:
                say(f"the search leaves out {group}={option}: {reason}")
        if choices and not left:
            raise MillisError(f"no {group} of the search can answer as the task asks: {reasons[choices[0]]}")
        if len(left) < len(choices):
            space = space.with_entry(group, {"choice": left})
    return space


def _reason(group: str, option: Any, outputs: Any, family: str | None) -> str:
    """Why an option cannot give `outputs`, or be cut out of a model of `family`; empty where it can, or where only its
    own files would tell."""
    path = conf_dir() / group / f"{option}.yaml"
    target = OmegaConf.select(OmegaConf.load(path), "_target_") if path.is_file() else None
    method = get_object(target) if target else None
    check = getattr(method, "check_outputs", None)
    try:
        if check is not None:
            check(outputs)
        check_cut(method, family)
    except MillisError as error:
        return str(error).split(". ", maxsplit=1)[0]
    return ""
