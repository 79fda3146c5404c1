"""The bundled corpus as a source: customer-service requests written for this project (see `corpus/CARD.md`)."""

from dataclasses import dataclass
from pathlib import Path

from millis.data.dataset import Dataset
from millis.data.local import Local
from millis.data.one_label import ONE_LABEL
from millis.data.references import References

FOLDER = Path(__file__).parent / "corpus"


@dataclass(frozen=True)
class Bundled:
    """The corpus that ships with millis: no path, no network.

    Args:
        name: How runs on it are named.
        limit: At most this many rows a split (for debugging).
        unlabelled: As in `Local`.
    """

    name: str = "bundled"
    limit: int | None = None
    unlabelled: str | None = None

    def __call__(self, references: References = ONE_LABEL) -> Dataset:
        """Read it; see `Local`."""
        return Local(str(FOLDER), name=self.name, limit=self.limit, unlabelled=self.unlabelled)(references)
