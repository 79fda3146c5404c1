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
from millis.models.spec import Spec
from millis.storage.cascade_spec import CASCADE, CascadeSpec
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
            MillisError: not a request, a file name that is no plain name, a backend that is not here, or an artifact
                that no agent takes.
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
            _ = request.size_bytes  # readable
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise MillisError(f"this is not a request to measure: {type(error).__name__}: {error}") from error
        return request

    @property
    def blobs(self) -> set[str]:
        """SHA-256 of every file that is needed."""
        manifests = (self.reference, *self.artifacts.values())
        return {self.texts, *(name for manifest in manifests for name in files_of(manifest).values())}

    @property
    def size_bytes(self) -> int:
        """What the artifacts' files take together, each once; the texts' size is not known."""
        manifests = (self.reference, *self.artifacts.values())
        entries = [entry for manifest in manifests for entry in json.loads(manifest)["files"].values()]
        return sum({entry["sha256"]: entry["bytes"] for entry in entries}.values())


def check_taken(name: str, backend: str, spec: Spec | None) -> None:
    """Refuse an artifact that no agent takes.

    Args:
        name: For the message.
        backend: Of its manifest.
        spec: Of its manifest; None where it was not read, as it need not be of an artifact of one model.

    Raises:
        MillisError: machine code, alone or in a cascade, or another cascade.
    """
    members = spec.backends if isinstance(spec, CascadeSpec) else ()
    if compiled := [one for one in (backend, *members) if backends.runs_code(one)]:
        raise MillisError(
            f"{name!r} is made by backend={compiled[0]}, whose code is compiled for the machine that wrote it, and an "
            f"agent runs no code that it is sent. Set benchmark.where={HERE}, or choose another backend"
        )
    if backend == CASCADE:
        raise MillisError(
            f"{name!r} is a cascade, and an agent takes artifacts of one model. Set benchmark.where={HERE}, or measure "
            "its members"
        )


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
    spec = CascadeSpec.from_json(manifest["spec"], "spec") if manifest["backend"] == CASCADE else None
    check_taken(str(manifest["name"]), manifest["backend"], spec)
    known = backends.names()
    if manifest["backend"] not in known:
        raise MillisError(
            f"artifact {str(manifest['name'])!r} is for backend {str(manifest['backend'])!r}, which the millis of this "
            f"agent lacks; it has {', '.join(known)}. Install there the millis that made the artifact"
        )
