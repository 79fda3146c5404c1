"""The bundled corpus as a source: customer-service requests written for this project (see `corpus/CARD.md`)."""

from pathlib import Path

from millis.data.dataset import Dataset
from millis.data.local import Local
from millis.data.one_label import ONE_LABEL
from millis.data.references import References

FOLDER = Path(__file__).parent / "corpus"


class Bundled:
    """The corpus that ships with millis: no path, no network.

    Args:
        name: How runs on it are named.
        limit: At most this many rows a split (for debugging).
        unlabelled: As in `Local`.
    """

    def __init__(self, name: str = "bundled", limit: int | None = None, unlabelled: str | None = None) -> None:
        self.source = Local(path=str(FOLDER), name=name, limit=limit, unlabelled=unlabelled)

    def __call__(self, references: References = ONE_LABEL) -> Dataset:
        return self.source(references)
