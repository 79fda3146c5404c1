"""What a client asks an agent to measure, and the checks on it: everything here was written by somebody else."""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from millis import backends
from millis.benchmark.agent.blobs import SHA256
from millis.benchmark.latency import HERE, Options
from millis.errors import MillisError
from millis.storage.manifest import FILE_NAME

PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")  # no separator, no `..`, nothing hidden


@dataclass(frozen=True)
class Request:
    """Artifacts to measure beside a reference.

    Args:
        reference: The text of its `manifest.json`.
        artifacts: Name → the text of the artifact's `manifest.json`.
        texts: SHA-256 of the texts to draw requests from, as JSON.
        options: How to measure.
    """

    reference: str
    artifacts: dict[str, str]
    texts: str
    options: Options

    def to_json(self) -> bytes:
        """What is sent."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, body: bytes) -> "Request":
        """Inverse of `to_json`, checked.

        Raises:
            MillisError: not a request, a file name that is no plain name, or a backend that is not here.
        """
        try:
            values: dict[str, Any] = json.loads(body)
            given = dict(values["options"])
            affinity = given.pop("affinity")
            options = Options(**given, affinity=None if affinity is None else tuple(affinity))
            artifacts = {str(name): str(text) for name, text in values["artifacts"].items()}
            request = cls(str(values["reference"]), artifacts, str(values["texts"]), replace(options, where=HERE))
            for text in (request.reference, *request.artifacts.values()):
                _check_backend(json.loads(text))
            if not request.artifacts or not all(map(SHA256.fullmatch, request.blobs)):
                raise ValueError("it names no artifacts, or a checksum that is none")
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise MillisError(f"this is not a request to measure: {type(error).__name__}: {error}") from error
        return request

    @property
    def blobs(self) -> set[str]:
        """SHA-256 of every file that is needed."""
        manifests = (self.reference, *self.artifacts.values())
        return {self.texts, *(name for manifest in manifests for name in files_of(manifest).values())}


def files_of(manifest: str) -> dict[str, str]:
    """File name → SHA-256, of the text of a `manifest.json`.

    Raises:
        MillisError: a name that leads elsewhere.
    """
    files: Mapping[str, Any] = json.loads(manifest)["files"]
    for name in files:
        if not PLAIN.fullmatch(name) or name == FILE_NAME:
            raise MillisError(
                f"the artifact has a file {name!r}; expected plain names of letters, digits, `_`, `-`, `.`"
            )
    return {name: str(entry["sha256"]) for name, entry in files.items()}


def _check_backend(manifest: Mapping[str, Any]) -> None:
    known = backends.names()
    if manifest["backend"] not in known:
        raise MillisError(
            f"artifact {str(manifest['name'])!r} is for backend {str(manifest['backend'])!r}, which the millis of this "
            f"agent lacks; it has {', '.join(known)}. Install there the millis that made the artifact"
        )
