"""A cascade: a small model answers where it is sure, a larger one otherwise; two artifacts as one.

A request goes to the fast member. Its answer stands if its largest softmax probability reaches the threshold, which was
chosen on validation texts (`millis.serving.cascade_threshold`); else the accurate member is asked, with the same tokens
where both read texts alike; where not, it reads the text for itself, and a sure answer does not wait for that. So a
request costs the fast member's time, and for a share of them the accurate member's on top: both the median and the tail
are the cascade's own to measure. Deciding costs some 10 µs (151 labels, AMD EPYC).

A request with a deadline goes on to the accurate member if all of that was measured to fit. Members with exits are
given the deadline too.

    manifest.json    the cascade's: threshold and members under `spec`, checksums of all files
    tokenizer.json   of both members, or of the fast one alone
    fast/ accurate/  the members' weights, each for its own backend; accurate/tokenizer.json where it reads for itself
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import numpy as np
from numpy.typing import NDArray

from millis.early_exit.policy import maximum_probability
from millis.errors import MillisError
from millis.serving.reader import Reader, Texts
from millis.serving.stepwise import in_steps, load_model
from millis.storage.archived import read_bytes
from millis.storage.cascade_spec import CASCADE, CascadeSpec, Members
from millis.storage.manifest import FILE_NAME, TOKENIZER, Manifest, parse, seal
from millis.store import atomic_folder
from millis.types import Answered, Features, Outputs, Session

MEMBERS = ("fast", "accurate")
OWN_TOKENIZER = f"accurate/{TOKENIZER}"  # there where the accurate member reads texts for itself


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
    kept = {member: {**manifest.to_json(), "files": {}} for member, (_, manifest) in members.items()}
    quantized = {member: manifest.quantization for member, (_, manifest) in members.items()}
    manifest = Manifest(
        name=name,
        backend=CASCADE,
        spec=CascadeSpec(threshold=threshold, members=Members(fast=kept["fast"], accurate=kept["accurate"])),
        task=first.task,
        inputs=first.inputs,
        max_length=first.max_length,
        quantization=quantized if any(quantized.values()) else None,
        **described,
    )
    with atomic_folder(folder) as temporary:
        (temporary / TOKENIZER).write_bytes(read_bytes(members["fast"][0] / TOKENIZER))
        for member, (source, _) in members.items():
            shutil.copytree(source, temporary / member, ignore=shutil.ignore_patterns(FILE_NAME, TOKENIZER))
        if not read_alike(members):
            (temporary / OWN_TOKENIZER).write_bytes(read_bytes(members["accurate"][0] / TOKENIZER))
        return seal(temporary, manifest)


class CascadeSession:
    """Asks the fast member, and the accurate one about the rows that the fast one is not sure of.

    Args:
        fast: Asked about every row.
        accurate: Asked about some.
        threshold: Least probability at which the fast member's answer stands.
        reader: The accurate member's, where it does not take the fast one's features; these then keep their texts.
    """

    def __init__(self, fast: Session, accurate: Session, threshold: float, reader: Reader | None = None) -> None:
        self.steps = [in_steps(fast), in_steps(accurate)]
        self.threshold = threshold
        self._reader = reader

    def __call__(self, features: Features) -> Outputs:
        """Logits [B, C] of the member that answers each row."""
        return self.answer(features).outputs

    def answer(self, features: Features, until_ns: int | None = None) -> Answered:
        """Ask the members, one after the other.

        Args:
            features: [B, S].
            until_ns: As of `millis.serving.stepwise.StepwiseSession.answer`, for the members' segments as well.

        Raises:
            MillisError: a deadline for more than one row.
        """
        fast, accurate = self.steps
        (logits,) = fast.answer(features, until_ns).outputs
        unsure = ~(maximum_probability.score([logits]) >= self.threshold)  # and where it is not a number
        if len(unsure) == 1:  # nothing to pick rows from, which costs some µs
            if unsure[0]:
                asked = features if self._reader is None else self._read(features, self._reader, unsure)[0]
                if until_ns is None or not self._ends_late(asked.ids.shape[1], until_ns):
                    return Answered(accurate.answer(asked, until_ns).outputs, np.array([2]))
            return Answered((logits,), np.array([1]))
        if unsure.any():
            logits = logits.copy()
            logits[unsure] = self._accurately(features, unsure)
        return Answered((logits,), np.where(unsure, 2, 1))

    def every(self, features: Features) -> list[NDArray[np.float32]]:
        """Logits of every step of both members, for one request."""
        fast, accurate = self.steps
        own = features if self._reader is None else self._read(features, self._reader, np.array([True]))[0]
        return [*fast.every(features), *accurate.every(own)]

    def _accurately(self, features: Features, chosen: NDArray[np.bool_]) -> NDArray[np.float32]:
        """The accurate member's logits of some rows; texts that it reads for itself are of any length, and go alone."""
        accurate = self.steps[1]
        if self._reader is not None:
            return np.concatenate([accurate(read)[0] for read in self._read(features, self._reader, chosen)])
        ids, mask, types = features
        return accurate(Features(ids[chosen], mask[chosen], None if types is None else types[chosen]))[0]

    @staticmethod
    def _read(features: Features, reader: Reader, chosen: NDArray[np.bool_]) -> list[Features]:
        """The chosen rows' texts as the accurate member takes them."""
        assert isinstance(features, Texts), "the accurate member reads texts, and these features keep none"
        return [reader.feed(reader.tokenize(features.texts[row])) for row in np.flatnonzero(chosen).tolist()]

    @property
    def knows_times(self) -> bool:
        """Whether `learn_times` was called."""
        return all(member.knows_times for member in self.steps)

    def learn_times(self, examples: Sequence[Features]) -> None:
        """Measure both members, whichever of them would have answered; see `StepwiseSession.learn_times`."""
        fast, accurate = self.steps
        fast.learn_times(examples)
        accurate.learn_times(examples if self._reader is None else self._reader.examples())

    def _ends_late(self, length: int, until_ns: int) -> bool:
        return perf_counter_ns() + 1e6 * sum(self.steps[1].step_ms(length)) > until_ns


def load(folder: Path, manifest: Manifest, threads: int) -> CascadeSession:
    """Both members, each on its own backend.

    Raises:
        MillisError: a member that is missing in the manifest or does not load.
    """
    found = members_of(manifest)
    fast, accurate = (load_model(folder / name, found[name], threads) for name in MEMBERS)
    reader = Reader.of(folder / "accurate", found["accurate"]) if reads_apart(manifest) else None
    return CascadeSession(fast, accurate, manifest.cascade.threshold, reader)


def reads_apart(manifest: Manifest) -> bool:
    """Whether this is a cascade whose accurate member reads texts for itself."""
    return manifest.is_cascade and OWN_TOKENIZER in manifest.files


def members_of(manifest: Manifest) -> dict[str, Manifest]:
    """The manifests of a cascade's members, their files' checksums those that the cascade was sealed with.

    Raises:
        MillisError: a member that is not described as one, or is a cascade.
    """
    of_members = manifest.cascade.manifests
    if nested := [name for name, member in of_members.items() if member.get("backend") == CASCADE]:
        raise MillisError(
            f"artifact {manifest.name!r} has a cascade as its {nested[0]} member; expected a model. Make the artifact "
            "again"
        )
    try:
        return {name: _member(manifest, values, name) for name, values in of_members.items()}
    except MillisError as error:
        raise MillisError(
            f"artifact {manifest.name!r} is no cascade of two members ({error}). Make the artifact again"
        ) from error


def check_members(members: dict[str, tuple[Path, Manifest]]) -> None:
    """Two artifacts of one model each that answer the same labels.

    Raises:
        MillisError: says in what they differ.
    """
    (fast, first), (accurate, second) = (members[name] for name in MEMBERS)
    for name, (folder, manifest) in members.items():
        if manifest.is_cascade:
            raise MillisError(f"{name}={folder} is a cascade itself; expected an artifact of one model")
    if first.task != second.task:
        raise MillisError(
            f"the members of a cascade must give the same answers: {fast} has {first.answers.summary}, {accurate} has "
            f"{second.answers.summary}. Choose two artifacts made for the same data and task"
        )
    made_for = {manifest.options["threads"] for manifest in (first, second) if "threads" in manifest.options}
    if len(made_for) > 1:
        raise MillisError(
            f"the members of a cascade must be compiled for the same number of threads: {fast} is for "
            f"{first.options['threads']}, {accurate} for {second.options['threads']}. Make one of them again with the "
            "other's backend.threads"
        )


def read_alike(members: Mapping[str, tuple[Path, Manifest]]) -> bool:
    """Whether both members take the same features of a text."""
    (fast, first), (accurate, second) = (members[name] for name in MEMBERS)
    same = first.inputs == second.inputs and first.max_length == second.max_length
    return same and _vocabulary(fast) == _vocabulary(accurate)


def _vocabulary(folder: Path) -> Any:
    """A tokenizer without what a runner sets itself."""
    state = json.loads(read_bytes(folder / TOKENIZER))
    return {key: value for key, value in state.items() if key not in ("padding", "truncation")}


def _member(cascade: Manifest, values: dict[str, Any], name: str) -> Manifest:
    folder = f"{name}/"
    files = {path.removeprefix(folder): file for path, file in cascade.files.items() if path.startswith(folder)}
    return parse({**values, "files": files})
