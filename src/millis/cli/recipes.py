"""Configs as the objects of the pipeline: the one door between the two."""

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from millis.benchmark.latency import Options
from millis.cli.groups import option_of
from millis.cli.hydra_app import composed
from millis.cli.plain import plain
from millis.cli.targets import instantiate
from millis.cli.tracker import ConfiguredTracker
from millis.data.memory import Memory
from millis.described import TARGET
from millis.errors import MillisError
from millis.pipeline.bundle import Bundle, opened, unbundled
from millis.pipeline.compress import check_request
from millis.pipeline.fine_tuning import INPUTS, FineTuning
from millis.pipeline.inputs import Inputs, read_inputs
from millis.pipeline.place import Place
from millis.pipeline.recipe import Recipe, check_cut, family_of
from millis.pipeline.run import Run
from millis.pipeline.study import Study
from millis.pipeline.teacher import Teacher, ensure_teacher

PLAIN = ("ensemble", "blend", "seed")  # fields of a recipe that are no objects


def recipe_of(cfg: DictConfig) -> Recipe:
    """The recipe that a config describes.

    Raises:
        MillisError: as `Recipe`, or it does not fit the task.
    """
    recipe = Recipe(**methods_of(cfg))
    recipe.check(instantiate(cfg.task).outputs, cfg.teacher.seed)
    return recipe


def methods_of(cfg: DictConfig) -> dict[str, Any]:
    """The fields of the recipe that a config describes."""
    names = [one.name for one in fields(Recipe)]
    return {name: plain(cfg[name]) if name in PLAIN else instantiate(cfg[name]) for name in names}


def fine_tuning_of(cfg: DictConfig) -> FineTuning:
    """The teacher that a config asks for.

    Raises:
        MillisError: as `FineTuning`.
    """
    inputs = {name: instantiate(cfg[name]) for name in INPUTS}
    return FineTuning(**inputs, **training_of(cfg))


def training_of(cfg: DictConfig) -> dict[str, Any]:
    """The fields of the fine-tuning that a config describes, but for its inputs."""
    names = [one.name for one in fields(FineTuning) if one.name not in INPUTS]
    return {name: cfg.teacher.seed if name == "seed" else instantiate(cfg.teacher[name]) for name in names}


def place_of(cfg: DictConfig) -> Place:
    """Where a config keeps things, with all that records say of it beside a recipe."""
    outputs, cache = (Path(path).absolute() for path in (cfg.paths.outputs, cfg.paths.cache))
    return Place(outputs, cache, ConfiguredTracker(cfg), plain(cfg))


def inputs_of(cfg: DictConfig) -> Inputs:
    """The data and the task of a config."""
    return read_inputs(instantiate(cfg.data), instantiate(cfg.task), Path(cfg.paths.cache))


def study_of(cfg: DictConfig) -> Study:
    """The search of a config."""
    names = ("name", "directions", "n_trials", "minimum", "timeout_s", "enqueue")
    return Study(**{name: plain(cfg.study[name]) for name in names}, rungs=instantiate(cfg.study.rungs))


def check_run(cfg: DictConfig) -> None:
    """Refuse what `run_of` would, and data that cannot be had, with nothing trained.

    Raises:
        MillisError: as said.
    """
    _checked(cfg, student=True)
    inputs_of(cfg)


def run_of(cfg: DictConfig, teacher: Teacher | None = None, student: bool = True) -> Run:
    """All of it; the teacher is trained here, where none is given and none lies trained.

    Args:
        student: Whether the recipe's is asked for, and not the teacher alone.

    Raises:
        MillisError: what cannot be, before a teacher is trained for it.
    """
    (recipe, tuning, benchmark, budget), place = _checked(cfg, student), place_of(cfg)
    objectives = tuple(cfg.study.directions) if "study" in cfg else ()
    return Run(recipe, tuning, teacher or ensure_teacher(tuning, place), place, benchmark, budget, objectives)


def _checked(cfg: DictConfig, student: bool) -> tuple[Recipe, FineTuning, Options, dict[str, float | None]]:
    """The recipe, the teacher that is asked for, how latency is measured, and the budget."""
    recipe, tuning = recipe_of(cfg), fine_tuning_of(cfg)
    benchmark, budget = instantiate(cfg.benchmark), plain(cfg.budget)
    check_request(recipe, tuning, benchmark, budget)
    if student:
        check_cut(recipe.student, family_of(tuning.model, tuning.task.outputs))
    return recipe, tuning, benchmark, budget


def bundled_run(folder: Path, place: Place, data: Any = None, *, backend: Any, quantization: Any, **asked: Any) -> Run:
    """A run under the elastic weights in `folder` (`millis.pipeline.bundle`).

    Args:
        data: Their data, where it lies elsewhere than it did; None is where it was.
        backend, quantization: Of the students.
        asked: `benchmark` and `budget`.

    Raises:
        MillisError: as `opened`, `unbundled`, `Recipe.check` and `check_request`.
    """
    found = opened(folder)
    tuning, recipe = remade(folder, found, data)
    recipe = replace(recipe, backend=backend, quantization=quantization)
    recipe.check(tuning.task.outputs, tuning.seed)
    check_request(recipe, tuning, asked["benchmark"], asked["budget"])
    return unbundled(folder, found, tuning, recipe, place, **asked)


def remade(folder: Path, found: Bundle, data: Any = None) -> tuple[FineTuning, Recipe]:
    """The teacher that elastic weights were asked for under, and their recipe.

    Args:
        folder: That `found` lies in, for messages.
        data: In place of theirs, unless None.

    Raises:
        MillisError: data that was in memory, or a description that nothing can be made of.
    """
    said = dict(found.fine_tuning)
    try:
        if data is None and said["data"][TARGET] == f"{Memory.__module__}.{Memory.__qualname__}":
            raise MillisError(f"the elastic weights in {folder} were trained on data in memory: give data=...")
        training, inputs = said.pop("teacher"), {name: _made(part) for name, part in said.items() if name != "data"}
        inputs["data"] = _made(said["data"]) if data is None else data
        tuning = FineTuning(**inputs, **{name: _made(part) for name, part in training.items()})
        recipe = Recipe(**{name: _made(part) for name, part in found.recipe.items()})
        if recipe.elastic is None:
            raise MillisError(f"{folder} describes a student that is not cut out of elastic weights")
    except MillisError:
        raise
    except Exception as error:  # whatever a class makes of parameters that it does not know
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise MillisError(
            f"{folder} describes nothing that this millis can make ({reason}): make it again, or read it with the "
            "millis that made it"
        ) from error
    return tuning, recipe


def _made(part: Any) -> Any:
    """What was described; what is no description, as it is."""
    return instantiate(part, _convert_="all") if isinstance(part, Mapping) and TARGET in part else part


def beside(objects: Mapping[str, Any]) -> DictConfig:
    """The config of `millis compress` with the options that make objects like these, and what they bring along.

    Args:
        objects: Group → what is chosen; one that no option makes leaves its group as it is.
    """
    options = {group: option_of(group, made) for group, made in objects.items()}
    return composed("compress", [f"{group}={option}" for group, option in options.items() if option is not None])


def default(group: str) -> Any:
    """What the commands have for `group`."""
    return instantiate(composed("compress", [])[group])
