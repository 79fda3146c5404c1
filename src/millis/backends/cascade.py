"""A cascade: a small model answers where it is sure, a larger one otherwise; two artifacts as one.

A request goes to the fast member. Its answer stands if its largest softmax probability reaches the threshold, which was
chosen on validation texts (`millis.backends.threshold`); else the accurate member is asked, with the same tokens. So a
request costs the fast member's time, and for a share of them the accurate member's on top: both the median and the tail
are the cascade's own to measure. Deciding costs 7 µs (151 labels, AMD EPYC).

    manifest.json    the cascade's: threshold and members under `spec`, checksums of all files
    tokenizer.json   of both members
    fast/ accurate/  the members' weights, each for its own backend
"""

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from millis.backends.stepwise import Step, StepwiseSession, load_model
from millis.errors import MillisError
from millis.storage.archived import read_bytes
from millis.storage.manifest import FILE_NAME, TOKENIZER, Manifest, seal
from millis.store import atomic_folder
from millis.types import Features, Session

NAME = "cascade"  # in a manifest, as its `backend` and as the family of its `spec`
MEMBERS = ("fast", "accurate")
POLICY = "maximum_probability"
SHARED = ("labels", "inputs", "max_length")  # what of a manifest both members must have alike


def write(
    folder: Path, members: dict[str, tuple[Path, Manifest]], name: str, threshold: float, **described: Any
) -> Manifest:
    """Put two artifacts into one.

    Args:
        folder: Where; one that was there is replaced.
        members: `fast` and `accurate`: folder and manifest of each.
        name: Of the cascade.
        threshold: Least probability at which the fast member's answer stands.
        described: Further fields of the manifest.

    Returns:
        The manifest as written.

    Raises:
        MillisError: members that do not fit together.
    """
    check_members(members)
    first = members["fast"][1]
    kept = {member: {**asdict(manifest), "files": {}} for member, (_, manifest) in members.items()}
    quantized = {member: manifest.quantization for member, (_, manifest) in members.items()}
    manifest = Manifest(
        name=name,
        backend=NAME,
        spec={"family": NAME, "threshold": threshold, "members": kept},
        labels=first.labels,
        inputs=first.inputs,
        max_length=first.max_length,
        quantization=quantized if any(quantized.values()) else None,
        **described,
    )
    with atomic_folder(folder) as temporary:
        (temporary / TOKENIZER).write_bytes(read_bytes(members["fast"][0] / TOKENIZER))
        for member, (source, _) in members.items():
            shutil.copytree(source, temporary / member, ignore=shutil.ignore_patterns(FILE_NAME, TOKENIZER))
        return seal(temporary, manifest)


def steps_of(fast: Session, accurate: Session) -> list[Step]:
    """The members as steps of a session that may stop; what passes between them is the request itself."""

    def first(features: Features) -> tuple[Any, NDArray[np.float32]]:
        types = features.token_types
        request = features.ids if types is None else np.stack([features.ids, types], axis=-1)  # [B, S] or [B, S, 2]
        return request, fast(features)

    def second(request: NDArray[np.int64], mask: NDArray[np.int64]) -> tuple[Any, NDArray[np.float32]]:
        ids, types = (request, None) if request.ndim == 2 else (request[..., 0], request[..., 1])
        return request, accurate(Features(ids, mask, types))

    return [first, second]


def load(folder: Path, manifest: Manifest, threads: int) -> StepwiseSession:
    """Both members, each on its own backend.

    Raises:
        MillisError: a member that is missing in the manifest or does not load.
    """
    try:
        found = {name: _manifest(manifest.spec["members"][name]) for name in MEMBERS}
        threshold = float(manifest.spec["threshold"])
    except (KeyError, TypeError, ValueError) as error:
        raise MillisError(f"{folder} is no cascade of two members ({error!r}). Make the artifact again") from error
    if nested := [name for name, member in found.items() if member.backend == NAME]:
        raise MillisError(
            f"{folder} has a cascade as its {nested[0]} member; expected a model. Make the artifact again"
        )
    fast, accurate = (load_model(folder / name, found[name], threads) for name in MEMBERS)
    return StepwiseSession(steps_of(fast, accurate), POLICY, threshold)


def check_members(members: dict[str, tuple[Path, Manifest]]) -> None:
    """Two artifacts that can be asked the same tokens and answer the same labels.

    Raises:
        MillisError: says in what they differ.
    """
    (fast, first), (accurate, second) = (members[name] for name in MEMBERS)
    for name, (folder, manifest) in members.items():
        if manifest.backend == NAME:
            raise MillisError(f"{name}={folder} is a cascade itself; expected an artifact of one model")
    for what in SHARED:
        one, other = getattr(first, what), getattr(second, what)
        if one != other:
            raise MillisError(
                f"the members of a cascade must have the same {what}: {fast} has {_short(one)}, {accurate} has "
                f"{_short(other)}. Choose two artifacts made for the same data and task"
            )
    if _vocabulary(fast) != _vocabulary(accurate):
        raise MillisError(
            f"the members of a cascade must share their tokenizer, for a request is tokenised once: {fast} and "
            f"{accurate} have different ones. Choose two artifacts with the same vocabulary"
        )


def _vocabulary(folder: Path) -> Any:
    """A tokenizer without what a runner sets itself."""
    state = json.loads(read_bytes(folder / TOKENIZER))
    return {key: value for key, value in state.items() if key not in ("padding", "truncation")}


def _manifest(values: dict[str, Any]) -> Manifest:
    return Manifest(**{**values, "labels": tuple(values["labels"]), "inputs": tuple(values["inputs"])})


def _short(value: Any) -> str:
    return f"{len(value)} ({', '.join(map(str, value[:3]))}, ...)" if isinstance(value, tuple) else str(value)
