"""Elastic weights as a folder of their own: all that students are cut out, judged and compared with, on any machine.

    weights.safetensors   the weights at their largest
    teacher/              the teacher's artifact, which every latency is measured beside
    elastic.json          how both were made and trained, and of which data; the data stay where they are

A run that is made of it finds teacher and weights where its own would lie, so whatever is done with students that are
cut out is done as if they had been trained here.
"""

import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from millis import schema
from millis.distillation.blend import Blend
from millis.errors import MillisError
from millis.models.selection import selected_spec
from millis.pipeline.elastic import elastic_key, elastic_path, elastic_training
from millis.pipeline.fine_tuning import FineTuning
from millis.pipeline.inputs import Inputs, read_inputs
from millis.pipeline.models_on_disk import spec_of
from millis.pipeline.place import Place, slug
from millis.pipeline.recipe import Recipe
from millis.pipeline.run import Run
from millis.pipeline.taught_answers import blend_of, blend_path, is_blended
from millis.pipeline.teacher import Teacher
from millis.storage.manifest import FILE_NAME as MANIFEST
from millis.storage.manifest import open_manifest
from millis.store import atomic_file, atomic_folder, file_sha256, locked, write_json
from millis.training.fit import Fitted

FILE_NAME, WEIGHTS, TEACHER = "elastic.json", "weights.safetensors", "teacher"
FORMAT, VERSION = "millis-elastic", 1


@dataclass(frozen=True)
class Bundle:
    """What `elastic.json` holds.

    Args:
        key: Of the weights (`millis.pipeline.keys.elastic`).
        sha256: Of the weights' file.
        teacher: Fingerprint of the teacher.
        data: Fingerprint of the data.
        fine_tuning, recipe: How teacher and weights were made, as they describe themselves.
        fine_tuned, trained: How the trainings went.
        blend: Of teacher and linear model, where it was looked for; None says nothing of it.
        note: Of the teacher.
    """

    key: str
    sha256: str
    teacher: str
    data: str
    fine_tuning: dict[str, Any]
    recipe: dict[str, Any]
    fine_tuned: Fitted
    trained: Fitted
    blend: Blend | None = None
    note: str = ""
    format: str = FORMAT
    version: int = VERSION


@dataclass(frozen=True)
class _Kind:
    """What is read of a file of any kind and version."""

    format: str = ""
    version: int = 0


def bundle_folder(run: Run) -> Path:
    """Where the elastic weights of a run are bundled."""
    return run.place.outputs / "elastic" / f"{slug(run.teacher.inputs.dataset.name)}-{elastic_key(run)[:8]}"


def bundled(run: Run) -> Path:
    """The folder of the elastic weights that the recipe's student is cut out of, which lie trained; made once."""
    folder, teacher, weights = bundle_folder(run), run.teacher, elastic_path(run)
    with locked(folder, "this folder of elastic weights, which another process makes"):
        if not (folder / FILE_NAME).is_file():
            recipe = _of_the_weights(run.recipe)
            looked_for = is_blended(recipe, teacher) and blend_path(teacher).is_file()
            blend = blend_of(recipe, teacher) if looked_for else None
            found = Bundle(
                elastic_key(run), file_sha256(weights), teacher.fingerprint, teacher.inputs.data_fingerprint,
                run.tuning.described, recipe.described, teacher.fitted, elastic_training(run),
                blend, teacher.note,
            )  # fmt: skip
            with atomic_folder(folder) as temporary:
                shutil.copytree(teacher.folder, temporary / TEACHER, copy_function=_linked)
                _linked(weights, temporary / WEIGHTS)
                write_json(temporary / FILE_NAME, asdict(found))
    return folder


def _of_the_weights(recipe: Recipe) -> Recipe:
    """The recipe without what is done to a student that is cut out."""
    learned = recipe.alone(
        student=replace(recipe.student, tune_epochs=0),
        backend=recipe.backend,
        augmentation=recipe.augmentation,
    )
    return replace(learned, ensemble=recipe.ensemble, blend=recipe.blend)


def opened(folder: Path) -> Bundle:
    """What lies in a folder, checked.

    Raises:
        MillisError: no elastic weights, those of another version, or a damaged file.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        what = "an artifact of one model" if (folder / MANIFEST).is_file() else "no folder of elastic weights"
        raise MillisError(
            f"{folder} is {what}: expected elastic weights, which `millis compress student=elastic` leaves under "
            "outputs/elastic"
        )
    try:
        said = schema.parsed(path.read_text(encoding="utf-8"))
        kind = schema.checked(said, _Kind)
        if kind != _Kind(FORMAT, VERSION):
            raise MillisError(f"got {kind.format} {kind.version}, and this millis reads {FORMAT} {VERSION}")
        found = schema.checked(said, Bundle)
    except (MillisError, OSError, UnicodeDecodeError) as error:
        raise MillisError(f"{path} cannot be read: {error}. Make the folder again") from error
    if not (folder / WEIGHTS).is_file() or file_sha256(folder / WEIGHTS) != found.sha256:
        raise MillisError(
            f"{folder / WEIGHTS} is missing, or other weights than {FILE_NAME} says: make the folder again"
        )
    try:
        open_manifest(folder / TEACHER)
    except MillisError as error:
        raise MillisError(f"the teacher of the elastic weights is damaged ({error}): copy {folder} again") from error
    return found


def unbundled(folder: Path, found: Bundle, tuning: FineTuning, recipe: Recipe, place: Place, **asked: Any) -> Run:
    """A run under the bundled teacher, whose students are cut out of the bundled weights.

    Args:
        found: Of `opened`.
        tuning, recipe: As `found` describes them; the data may lie elsewhere, and what is done to a student may differ.
        asked: Other fields of `Run`.

    Raises:
        MillisError: data of another task or with other rows, or weights of another architecture.
    """
    inputs = read_inputs(tuning.data, tuning.task, place.cache)
    teacher = Teacher(inputs, found.teacher, folder / TEACHER, found.fine_tuned, found.note)
    _check_data(folder, found, teacher, inputs)
    run = Run(recipe, tuning, teacher, place, **asked)
    assert recipe.elastic is not None, "it is described with the weights"
    whole: Any = teacher.manifest.spec
    expected = selected_spec(whole, recipe.elastic.axes(whole).largest.selection(whole))
    if (held := spec_of(folder / WEIGHTS)) != expected:
        raise MillisError(
            f"{folder / WEIGHTS} holds another architecture ({held.to_json()}) than {FILE_NAME} describes "
            f"({expected.to_json()}): give the weights that were made with it"
        )
    if (blend := found.blend) is not None and is_blended(recipe, teacher):
        _given(blend_path(teacher), lambda path: write_json(path, asdict(blend)))
    if (key := elastic_key(run)) != found.key:
        raise MillisError(
            f"{folder / FILE_NAME} describes other elastic weights ({key}) than it names ({found.key}): it was "
            "changed, or the data's texts without labels were. Make the folder again"
        )
    weights = elastic_path(run)
    _given(weights, lambda path: _linked(folder / WEIGHTS, path))
    _given(weights.with_suffix(".json"), lambda path: write_json(path, asdict(found.trained)))
    return run


def _check_data(folder: Path, found: Bundle, teacher: Teacher, inputs: Inputs) -> None:
    answers = teacher.manifest.answers
    if answers.identity != inputs.task.identity:
        raise MillisError(
            f"the elastic weights in {folder} answer {answers.summary}, the data has {inputs.task.summary}: give the "
            "data that they were trained on, data=..."
        )
    if inputs.data_fingerprint != found.data:
        raise MillisError(
            f"the elastic weights in {folder} were trained and judged on other rows ({found.data}) than these "
            f"({inputs.data_fingerprint}): give the same files, data=local data.path=FOLDER"
        )


def _given(path: Path, make: Callable[[Path], Any]) -> None:
    """What lies at `path`, or is put there."""
    with locked(path, f"{path.name}, which another process puts there"):
        if not path.is_file():
            make(path)


def _linked(source: Any, target: Any) -> None:
    """A second name for a file that is never written again, or a copy where the file system has no such."""
    try:
        os.link(source, target)
    except OSError:
        with atomic_file(Path(target)) as temporary:
            shutil.copyfile(source, temporary)
