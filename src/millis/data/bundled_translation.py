"""The bundled parallel corpus as a source: a customer service in English, German and Chinese, made by rules."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from millis.data.assemble import dataset_from_tables
from millis.data.columns import Columns
from millis.data.dataset import Dataset
from millis.data.parallel.generate import corpus
from millis.data.references import References
from millis.data.table import Cells, Table

LANGUAGES = ("en", "de", "zh")


@dataclass(frozen=True)
class BundledTranslation:
    """Columns `en`, `de` and `zh` hold the same sentence: no path, no network (see `parallel/CARD.md`).

    Args:
        name: How runs on it are named.
        text: The language that is read; the task names the one that is written (`millis.data.written.Written`).
        limit: At most this many rows a split (for debugging).
    """

    name: str = "bundled_translation"
    text: Literal["en", "de", "zh"] = "en"
    limit: int | None = None

    def __call__(self, references: References) -> Dataset:
        """Make it.

        Args:
            references: What is read beside the texts.
        """
        tables = {split: [_table(self.name, split)] for split in corpus()}
        return dataset_from_tables(self.name, tables, Columns(text=self.text), references=references, limit=self.limit)


def _table(name: str, split: str) -> Table:
    def cells(columns: Sequence[str]) -> Iterator[Cells]:
        for row in corpus()[split]:
            sentence = dict(zip(LANGUAGES, row.text, strict=True))
            yield tuple([sentence.get(column) for column in columns])

    return Table(f"{name}, {split}", LANGUAGES, cells)
