"""The manifest: what an artifact is, written beside its weights and checked before anything is loaded.

An artifact is a folder: weights for one backend, `tokenizer.json`, `manifest.json`. Loading verifies the format, the
version and every file's checksum; nothing is ever unpickled.
"""

import json
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from millis.errors import MillisError
from millis.store import file_sha256, write_json
from millis.types import Spec

FILE_NAME = "manifest.json"
TOKENIZER = "tokenizer.json"
FORMAT = "millis-artifact"
VERSION = 1


@dataclass(frozen=True)
class Manifest:
    """What `manifest.json` holds.

    Args:
        name: Short human name.
        backend: Name of the file in `millis.backends` that loads the weights.
        spec: The architecture (`millis.models.build` makes it).
        labels: Label names; a label's position is the model's output index.
        inputs: The model's inputs in order: `input_ids`, `attention_mask` and, for pairs, `token_type_ids`.
        max_length: Longest token sequence the model takes; longer texts are truncated.
        quantization: How the weights are quantized, or None.
        options: The backend's constructor arguments: what was measured is what is served.
        storage: What became of the files, where they lie in one archive: `bytes_before`, `notes`; or None.
        early_exit: Where `spec` has exits, when a text leaves: `policy`, `threshold`, and what was found of them on
            validation (`millis.early_exit.threshold.Chosen`). None lets no text leave.
        recipe: The resolved config that made the model.
        fingerprint: Of everything that determined the weights.
        parity: Agreement with eager fp32: `label_agreement` (0..1), `max_abs_logit_difference`.
        files: Path within the folder → {"sha256", "bytes"}; filled by `seal`.
    """

    name: str
    backend: str
    spec: Spec
    labels: tuple[str, ...]
    inputs: tuple[str, ...]
    max_length: int
    quantization: dict[str, Any] | None = None
    options: dict[str, Any] = field(default_factory=dict)
    storage: dict[str, Any] | None = None
    early_exit: dict[str, Any] | None = None
    recipe: dict[str, Any] = field(default_factory=dict)
    fingerprint: str = ""
    parity: dict[str, float] = field(default_factory=dict)
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    format: str = FORMAT
    version: int = VERSION


def seal(folder: Path, manifest: Manifest) -> Manifest:
    """Write `manifest.json` with the checksum and size of every other file under `folder`; return what was written."""
    files = {
        name: {"sha256": file_sha256(folder / name), "bytes": (folder / name).stat().st_size}
        for name in sorted(_present(folder))
    }
    sealed = replace(manifest, files=files)
    write_json(folder / FILE_NAME, asdict(sealed))
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
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        _check_format(folder, values)
        manifest = _parse(values)
    except (ValueError, TypeError, KeyError) as error:
        raise MillisError(f"{path} is damaged: {error}. Make the artifact again") from error
    _check_files(folder, manifest, verify)
    return manifest


def size_bytes(manifest: Manifest) -> int:
    """Bytes of the artifact's files, without the manifest itself."""
    return sum(int(entry["bytes"]) for entry in manifest.files.values())


def _check_format(folder: Path, values: Any) -> None:
    if not isinstance(values, dict):
        raise TypeError(f"got a JSON {type(values).__name__}, expected an object")
    if values.get("format") != FORMAT:
        raise MillisError(f"{folder} has format {values.get('format')!r}, expected {FORMAT!r}: not made by millis")
    if values.get("version") != VERSION:
        raise MillisError(
            f"{folder} has manifest version {values.get('version')}, this millis reads {VERSION}: "
            "load it with the millis that wrote it, or make it again"
        )


def _parse(values: dict[str, Any]) -> Manifest:
    """The manifest in `values`, its fields checked for type; keys that are not fields are ignored."""
    known: dict[str, Any] = {}
    hints = get_type_hints(Manifest)
    for spec in fields(Manifest):
        if spec.name not in values:
            if spec.default is MISSING and spec.default_factory is MISSING:
                raise KeyError(f"no field {spec.name!r}")
            continue
        value = values[spec.name]
        expected = _json_types(hints[spec.name])
        if not isinstance(value, expected) or isinstance(value, bool):
            wanted = " or ".join(kind.__name__ for kind in expected)
            raise TypeError(f"{spec.name} is a {type(value).__name__}, expected {wanted}")
        known[spec.name] = tuple(value) if isinstance(value, list) else value
    manifest = Manifest(**known)
    if not manifest.labels or not all(isinstance(name, str) for name in (*manifest.labels, *manifest.inputs)):
        raise TypeError("labels and inputs are lists of strings, and labels are not empty")
    if manifest.max_length < 1:
        raise ValueError(f"max_length is {manifest.max_length}, expected 1 or more")
    for name, entry in manifest.files.items():
        parts = name.split("/")
        if any(Path(part).name != part or part in ("", ".", "..") for part in parts):
            raise ValueError(f"file name {name!r} leads out of the artifact, expected a name within it")
        if not isinstance(entry, dict) or not {"sha256", "bytes"} <= set(entry):
            raise TypeError(f"files[{name!r}] lacks sha256 and bytes")
    return manifest


def _json_types(hint: Any) -> tuple[type, ...]:
    """What JSON gives for a field of this type: a tuple comes as a list, `X | None` as either."""
    kinds = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    bare = [get_origin(kind) or kind for kind in kinds]
    return tuple(list if kind is tuple else kind for kind in bare)


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
