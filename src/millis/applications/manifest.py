"""The manifest of an application: its kind, its parts by their folders, what was chosen, and checksums.

    application.json    see `ApplicationManifest`
    PART/               an artifact, with its own manifest (`millis.storage.manifest`)
    anything else       files of the kind's own, listed with their checksums

Nothing in it is code, and nothing is unpickled. Of each part the checksum of its manifest is kept, which has those of
its files; so the application's manifest settles every byte.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from millis import applications, schema
from millis.errors import MillisError, nearest
from millis.storage.manifest import FILE_NAME as PART_MANIFEST
from millis.storage.manifest import File, open_manifest, size_bytes
from millis.store import file_sha256, fingerprint, write_json

FILE_NAME = "application.json"
FORMAT = "millis-application"
VERSION = 1


@dataclass(frozen=True)
class ApplicationManifest:
    """What `application.json` holds.

    Args:
        name: For people.
        kind: A package of `millis.applications`.
        parts: Name of a part, which is its folder's → the checksum of its manifest.
        settings: The kind's own (`Settings` of its `answering.py`).
        recipe: What it was built with.
        judged: What building measured on the test rows: measure → value.
        files: Those beside the parts: path → {"sha256", "bytes"}.
    """

    name: str
    kind: str
    parts: dict[str, str]
    settings: dict[str, Any]
    recipe: dict[str, Any] = field(default_factory=dict)
    judged: dict[str, float] = field(default_factory=dict)
    files: dict[str, File] = field(default_factory=dict)
    format: str = FORMAT
    version: int = VERSION

    @property
    def fingerprint(self) -> str:
        """Of all that answers."""
        return fingerprint("application", self.kind, self.parts, self.settings, self.files)


def is_application(folder: Path) -> bool:
    """Whether a folder is one of an application."""
    return (folder / FILE_NAME).is_file()


def seal(folder: Path, name: str, kind: str, parts: Mapping[str, Path], **described: Any) -> ApplicationManifest:
    """Write `application.json` for what lies in `folder`, and return it.

    Args:
        folder: With all parts and files.
        name, kind: Of the application.
        parts: Name → the part's folder, which is `folder / name`.
        described: Further fields.
    """
    files: dict[str, File] = {
        path: {"sha256": file_sha256(folder / path), "bytes": (folder / path).stat().st_size}
        for path in sorted(_own(folder, parts))
    }
    sums = {part: file_sha256(place / PART_MANIFEST) for part, place in parts.items()}
    manifest = ApplicationManifest(name, kind, sums, files=files, **described)
    write_json(folder / FILE_NAME, asdict(manifest))
    return manifest


def open_application(folder: Path, verify: bool = True) -> ApplicationManifest:
    """Read and check an application's manifest, and those of its parts.

    Args:
        folder: Of the application.
        verify: Also hash every file.

    Raises:
        MillisError: no application, a foreign or newer one, a part or file that is missing, changed or unlisted.
    """
    path = folder / FILE_NAME
    try:
        values = schema.checked(schema.parsed(path.read_text(encoding="utf-8")), dict[str, Any])
        if values.get("format") != FORMAT or values.get("version") != VERSION:
            raise MillisError(
                f"format {values.get('format')!r} and version {values.get('version')!r}, expected {FORMAT!r} and "
                f"{VERSION}"
            )
        manifest = schema.checked(values, ApplicationManifest)
        _check_names(manifest)
    except (MillisError, OSError, UnicodeDecodeError) as error:
        raise MillisError(f"{path} is damaged: {error}. Build the application again") from error
    for part, checksum in manifest.parts.items():
        if not (folder / part / PART_MANIFEST).is_file():
            raise MillisError(f"application {folder} is damaged: its part {part!r} is missing. Copy or build it again")
        if verify and file_sha256(folder / part / PART_MANIFEST) != checksum:
            raise MillisError(
                f"application {folder} is damaged: its part {part!r} is another artifact. Copy or build it again"
            )
        open_manifest(folder / part, verify)
    _check_files(folder, manifest, verify)
    return manifest


def bytes_of(folder: Path) -> int:
    """What an artifact or an application takes, with all its parts; checksums are not looked at."""
    if not is_application(folder):
        return size_bytes(open_manifest(folder, verify=False))
    manifest = open_application(folder, verify=False)
    return sum(entry["bytes"] for entry in manifest.files.values()) + sum(
        size_bytes(open_manifest(folder / part, verify=False)) for part in manifest.parts
    )


def _own(folder: Path, parts: Mapping[str, Any]) -> set[str]:
    """Files of an application but for its manifest and its parts, by their path within it."""
    files = (path.relative_to(folder) for path in folder.rglob("*") if not path.is_dir())
    return {path.as_posix() for path in files if path.parts[0] not in parts and path.as_posix() != FILE_NAME}


def _check_names(manifest: ApplicationManifest) -> None:
    if manifest.kind not in (known := applications.kinds()):
        raise MillisError(
            f"kind is {manifest.kind!r}: expected one of {', '.join(known)}{nearest(manifest.kind, known)}"
        )
    for name in [*manifest.parts, *manifest.files]:
        if any(Path(part).name != part or part in ("", ".", "..") for part in name.split("/")):
            raise MillisError(f"{name!r} leads out of the application, expected a name within it")
    if nested := [name for name in manifest.parts if "/" in name]:
        raise MillisError(f"part {nested[0]!r} is no folder of the application itself")


def _check_files(folder: Path, manifest: ApplicationManifest, verify: bool) -> None:
    present = _own(folder, manifest.parts)
    if missing := sorted(set(manifest.files) - present):
        raise MillisError(f"application {folder} is damaged: {missing[0]} is missing. Copy or build it again")
    if foreign := sorted(present - set(manifest.files)):
        raise MillisError(
            f"application {folder} holds files that its manifest does not list: {foreign[0]}. Remove them"
        )
    for name, entry in manifest.files.items():
        if verify and file_sha256(folder / name) != entry["sha256"]:
            raise MillisError(f"application {folder} is damaged: {name} was changed. Copy or build it again")
