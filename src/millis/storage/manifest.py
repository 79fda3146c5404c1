"""The manifest: what an artifact is, written beside its weights and checked before anything is loaded.

An artifact is a folder: weights for one backend, `tokenizer.json`, `manifest.json`. Loading verifies the format, the
version and every file's checksum; nothing is ever unpickled. `Manifest`'s annotations are what `manifest.json` is held
against (`millis.schema`).
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, TypedDict

from msgspec import Meta

from millis import generation, models, schema, tasks
from millis.errors import MillisError
from millis.models.outputs import over
from millis.models.spec import Spec
from millis.schema import Count
from millis.storage.cascade_spec import CASCADE, CascadeSpec
from millis.store import file_sha256, write_json
from millis.tasks.contract import Task
from millis.types import Choice, Output, Per, Signature

NAMES_BYTES = 2**16  # as much as some thousand names of labels take
FILE_NAME = "manifest.json"
TOKENIZER = "tokenizer.json"
CARRIED = "task.safetensors"  # arrays of the task, where it has any (`millis.tasks.contract.Task.carried`)
DRAFT = "draft"  # folder of a smaller model's artifact, in that of the model which it guesses for
FORMAT = "millis-artifact"
VERSION = 2
VERSIONS = (1, VERSION)  # that are read
LONGEST = 1 << 17  # tokens of a request; what answers requests keeps some bytes for every length
Input = Annotated[str, Meta(pattern="^(input_ids|attention_mask|token_type_ids)$")]


class File(TypedDict):
    """What a manifest says of a file."""

    sha256: str
    bytes: Count


class _Exits(TypedDict, total=False):
    """What loading reads of `early_exit`."""

    policy: str
    threshold: float


class _Sizes(TypedDict, total=False):
    """What is read of any `spec`, whatever its family; each family reads the rest."""

    family: str
    num_labels: Count
    outputs: list[tuple[str, Per, Count, Choice]]
    exits: list[Count] | None


class _Nested(TypedDict, total=False):
    """Of the mappings that hold anything else besides."""

    spec: _Sizes
    early_exit: _Exits | None


@dataclass(frozen=True)
class Manifest:
    """What `manifest.json` holds.

    Args:
        name: Short human name.
        backend: Name of the file in `millis.backends` that loads the weights; a cascade's members name theirs.
        spec: The architecture (`millis.models.build` makes it); of two members, what a cascade is.
        task: What it answers (`millis.tasks.contract.Task.described`), with `notes` where there is something to know of
            what the task carries in a file.
        inputs: The model's inputs in order: `input_ids`, `attention_mask` and, for pairs, `token_type_ids`.
        max_length: Longest token sequence the model takes; longer texts are truncated.
        quantization: How the weights are quantized, or None.
        options: The backend's constructor arguments: what was measured is what is served.
        storage: What became of the files, where they lie in one archive: `bytes_before`, `notes`; or None.
        early_exit: Where `spec` has exits, when a text leaves: `policy`, `threshold`, and what was found of them on
            validation (`millis.early_exit.threshold.Chosen`). None lets no text leave.
        generation: Of a model that writes, how it chooses tokens (`millis.generation`); None of any other.
        recipe: The resolved config that made the model.
        fingerprint: Of everything that determined the weights.
        parity: Agreement with eager fp32: `label_agreement` (0..1), `max_abs_logit_difference`.
        files: Path within the folder → {"sha256", "bytes"}; filled by `seal`.
    """

    name: str
    backend: str
    spec: Spec
    task: dict[str, Any]
    inputs: Annotated[tuple[Input, ...], Meta(min_length=1)]
    max_length: Annotated[int, Meta(ge=1, le=LONGEST)]
    quantization: dict[str, Any] | None = None
    options: dict[str, Any] = field(default_factory=dict)
    storage: dict[str, Any] | None = None
    early_exit: dict[str, Any] | None = None
    generation: dict[str, Any] | None = None
    recipe: dict[str, Any] = field(default_factory=dict)
    fingerprint: str = ""
    parity: dict[str, float] = field(default_factory=dict)
    files: dict[str, File] = field(default_factory=dict)
    format: str = FORMAT
    version: int = VERSION

    @property
    def signature(self) -> Signature:
        """What the model takes and gives."""
        return Signature(self.inputs, self._outputs(self.spec.outputs))

    @cached_property
    def answers(self) -> Task:
        """The task that `task` describes."""
        return tasks.read(self.task)

    @property
    def most_written(self) -> int:
        """Most tokens to write (`generation.max_tokens`) that leave a text one of `max_length`, special ones apart.

        The last token that is written is not read.
        """
        before, after = self.spec.around
        return self.max_length - len(before) - len(after)

    def _outputs(self, given: Sequence[Output]) -> tuple[Output, ...]:
        """The task's; over a vocabulary, as many logits as are `given`."""
        asked = self.answers.outputs
        if [output.choice for output in asked] != ["next"] or len(given) != 1:
            return asked
        return over(asked, given[0].width)

    @property
    def is_cascade(self) -> bool:
        """Whether this is two artifacts in one (`millis.serving.cascade`), not a model on a backend."""
        return self.backend == CASCADE

    @property
    def cascade(self) -> CascadeSpec:
        """`spec`, of a cascade."""
        assert isinstance(self.spec, CascadeSpec), f"{self.name!r} is no cascade"
        return self.spec

    def to_json(self) -> dict[str, Any]:
        """What `manifest.json` holds."""
        return {one.name: getattr(self, one.name) for one in fields(self)} | {"spec": self.spec.to_json()}


@dataclass(frozen=True)
class _Written(Manifest):
    """As it is in JSON, where each family's spec is another."""

    spec: dict[str, Any]  # type: ignore[assignment]


def seal(folder: Path, manifest: Manifest) -> Manifest:
    """Write `manifest.json` with the checksum and size of every other file under `folder`; return what was written."""
    files: dict[str, File] = {
        name: {"sha256": file_sha256(folder / name), "bytes": (folder / name).stat().st_size}
        for name in sorted(_present(folder))
    }
    sealed = replace(manifest, files=files)
    write_json(folder / FILE_NAME, sealed.to_json())
    return sealed


def open_manifest(folder: Path, verify: bool = True) -> Manifest:
    """Read and check an artifact's manifest.

    Args:
        folder: The artifact.
        verify: Also hash every file (about 1 s a GB); turn off only where it was done already.

    Raises:
        MillisError: no artifact there, a foreign or newer format, or files that are missing, changed or unlisted.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        raise MillisError(f"{folder} is not a millis artifact: it has no {FILE_NAME}. Make one with `millis compress`")
    with _naming(path):
        values = schema.checked(schema.parsed(_text(path)), dict[str, Any])
    _check_format(folder, values)
    with _naming(path):
        manifest = parse(values)
    _check_files(folder, manifest, verify)
    return manifest


def size_bytes(manifest: Manifest) -> int:
    """Bytes of the artifact's files, and of what its task carries in the manifest where that is more than names."""
    carried = len(json.dumps(manifest.task))
    return sum(entry["bytes"] for entry in manifest.files.values()) + (carried if carried > NAMES_BYTES else 0)


def parse(values: dict[str, Any]) -> Manifest:
    """The manifest in `values`, read from JSON; keys that are no fields are ignored.

    Raises:
        MillisError: a field that is missing, of another type or out of range, a task that does not fit the model, a way
            of choosing tokens that is none, or a file outside of the artifact.
    """
    values = _of_this_version(values)
    written = schema.checked(values, _Written)
    schema.checked(values, _Nested)
    manifest = Manifest(**{**vars(written), "spec": _spec(written)})
    _check_outputs(manifest)
    if manifest.generation is not None:
        generation.read(manifest.generation)
    for name in manifest.files:
        if any(Path(part).name != part or part in ("", ".", "..") for part in name.split("/")):
            raise MillisError(f"file name {name!r} leads out of the artifact, expected a name within it")
    return manifest


def _of_this_version(values: dict[str, Any]) -> dict[str, Any]:
    """In version 1 every artifact was a classifier, and its labels stood by themselves."""
    if "labels" not in values or "task" in values:
        return values
    task = {"name": "classification", "labels": values["labels"]}
    return {**{name: value for name, value in values.items() if name != "labels"}, "task": task, "version": VERSION}


def _spec(written: _Written) -> Spec:
    """`spec` as this millis has it."""
    said = written.spec
    if written.backend == CASCADE:
        try:
            return CascadeSpec.from_json(said, "spec")
        except MillisError as error:
            raise MillisError(f"artifact {written.name!r} is no cascade of two members ({error})") from error
    family = said.get("family")
    if not isinstance(family, str) or not models.is_family(family):
        raise MillisError(f"spec.family is {family!r}: expected one of {', '.join(models.families())}")
    return models.read(said, "spec")


def _check_outputs(manifest: Manifest) -> None:
    """A task that reads as many outputs as the model gives."""
    try:
        answers = manifest.answers
    except MillisError as error:
        raise MillisError(f"in task, {error}") from error
    given = manifest.spec.outputs
    if not manifest.is_cascade and [one[:4] for one in given] != [one[:4] for one in manifest.signature.outputs]:
        raise MillisError(
            f"task answers {answers.summary}: expected {_counts(given)}, one for each of the model's outputs (spec)"
        )


def _counts(outputs: Sequence[Output]) -> str:
    """`3`; of several outputs `7 of intent and 72 of tags`."""
    if len(outputs) == 1:
        return str(outputs[0].width) + ("" if outputs[0].choice == "one" else f" ({outputs[0].choice})")
    return " and ".join(f"{output.width} of {output.name}" for output in outputs)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (UnicodeDecodeError, OSError) as error:
        raise MillisError(str(error)) from error


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Put the file before what is wrong with it."""
    try:
        yield
    except MillisError as error:
        raise MillisError(f"{path} is damaged: {error}. Make the artifact again") from error


def _check_format(folder: Path, values: dict[str, Any]) -> None:
    if values.get("format") != FORMAT:
        raise MillisError(f"{folder} has format {values.get('format')!r}, expected {FORMAT!r}: not made by millis")
    if values.get("version") not in VERSIONS:
        raise MillisError(
            f"{folder} has manifest version {values.get('version')}, this millis reads up to {VERSION}: "
            "load it with the millis that wrote it, or make it again"
        )
    task = values.get("task")
    name = task.get("name") if isinstance(task, dict) else None
    if isinstance(name, str) and name.isidentifier() and name not in tasks.names():
        raise MillisError(
            f"{folder} answers task {name!r}, of which this millis knows nothing ({', '.join(tasks.names())}): load it "
            "with the millis that wrote it"
        )


def _present(folder: Path) -> set[str]:
    """Files under `folder` but for the manifest, by their path within it."""
    files = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())
    return {name for name in files if name != FILE_NAME}


def _check_files(folder: Path, manifest: Manifest, verify: bool) -> None:
    present = _present(folder)
    if missing := sorted(name for name in manifest.files if not (folder / name).exists()):
        raise MillisError(f"artifact {folder} is damaged: {', '.join(missing)} is missing. Copy or make it again")
    if foreign := sorted(present - set(manifest.files)):
        raise MillisError(
            f"artifact {folder} holds files its manifest does not list: {', '.join(foreign)}. Remove them"
        )
    for name, entry in manifest.files.items():
        if not (folder / name).is_file():
            raise MillisError(f"artifact {folder} is damaged: {name} is not a file. Copy or make it again")
        if verify and file_sha256(folder / name) != entry["sha256"]:
            raise MillisError(
                f"artifact {folder} is damaged: {name} does not match its checksum. Copy or make it again"
            )
        if verify and (size := (folder / name).stat().st_size) != entry["bytes"]:
            raise MillisError(
                f"artifact {folder} is damaged: {name} has {size} bytes, its manifest says {entry['bytes']}. Copy or "
                "make it again"
            )
