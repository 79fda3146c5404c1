"""Where a run keeps what it makes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from millis.pipeline.tracker import NoTracker, Tracker


@dataclass(frozen=True)
class Place:
    """Where things are kept.

    Args:
        outputs: Artifacts and records.
        cache: What every stage keeps under its fingerprint: teachers, their answers, students, latencies.
        tracker: What is shown of it elsewhere.
        said: What records and manifests say beside a recipe, JSON-able: the rest of a command's config.
    """

    outputs: Path
    cache: Path
    tracker: Tracker = field(default_factory=NoTracker)
    said: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def under(cls, outputs: str | Path, tracker: Tracker | None = None) -> Self:
        """Everything below one folder."""
        folder = Path(outputs).absolute()
        return cls(folder, folder / "cache", tracker or NoTracker())


def slug(name: str) -> str:
    """A name as a folder's name."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
