"""How a translation is built: what its part learns, and what is known of both languages."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from millis.applications.contract import Asked, Row, given
from millis.applications.tables import SPLITS
from millis.applications.translation.answering import PART, Settings
from millis.applications.translation.glossary import read_glossary
from millis.applications.translation.lexicon import Lexicon
from millis.applications.translation.pairs import SOURCE, TARGET, pairs, write_rows
from millis.applications.translation.scripts import scripts_of
from millis.data.parallel.generate import corpus as bundled
from millis.errors import MillisError
from millis.serving.one_pass import Runner

LOOKED_AT = 2000  # sentences of training that tell how languages are written
BLANKS = 0.05  # share of a text's characters that are blanks, from which on a language has them


@dataclass(frozen=True)
class Translation:
    """How a translation is built.

    Args:
        parts: Of `translate`: overrides of `millis compress`.
        source, target: Columns of the language that is read and of that which is written; named by their codes of
            ISO 639, for the source's says by which rules sentences are found.
        glossary: Terms and what they have to be called: a mapping, or a file with the columns `source` and `target`;
            None keeps codes and numbers alone.
        placeholders: Whether the part learns with them (`placeholders.py`); for comparison.
        judged: Test rows that are judged, the first so many.
        most_characters: Of a text that is answered.
        name: Of the folders that it is built in.

    Raises:
        MillisError: a glossary that cannot be read, or contradicts itself; one language; or no rows.
    """

    parts: Mapping[str, Sequence[str]]
    source: str = "en"
    target: str = "de"
    glossary: str | Mapping[str, str] | None = None
    placeholders: bool = True
    judged: int = 600
    most_characters: int = 100_000
    name: str = "translation"
    kind: ClassVar[str] = "translation"

    def __post_init__(self) -> None:
        if self.source == self.target:
            raise MillisError(f"app.source and app.target are both {self.source!r}: expected two columns")
        if self.judged < 1 or self.most_characters < 1:
            raise MillisError("app.judged and app.most_characters are at least 1")
        object.__setattr__(self, "glossary", read_glossary(self.glossary or {}).terms)

    @property
    def columns(self) -> tuple[str, str]:
        """Of the corpus."""
        return self.source, self.target

    def write_corpus(self, folder: Path) -> None:
        """The customer service in English, German and Chinese that ships (`millis/data/parallel/CARD.md`)."""
        for split, rows in bundled().items():
            texts = ({"en": row.text.english, "de": row.text.german, "zh": row.text.chinese} for row in rows)
            lines = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in texts)
            (folder / f"{split}.jsonl").write_text(lines, encoding="utf-8")

    def check(self, corpus: Path) -> None:
        """Refuse a folder without sentences in both languages in all three splits, or with a test row that would not be
        translated.

        Raises:
            MillisError: as said.
        """
        for split in SPLITS:
            pairs(corpus, split, self.columns)
        reads = self._settings(corpus).reads
        for number, row in enumerate(self.rows(corpus), 1):
            try:
                reads.check(row[SOURCE])
            except MillisError as error:
                raise MillisError(f"{corpus}, test row {number}: {error}") from error

    def prepare(self, corpus: Path, folder: Path) -> None:
        """Rows with placeholders, which the part learns to carry over."""
        train = pairs(corpus, SPLITS[0], self.columns)
        scripts, lexicon = scripts_of(one.source for one in train[:LOOKED_AT]), Lexicon.of(train)
        for split in SPLITS:
            found = train if split == SPLITS[0] else pairs(corpus, split, self.columns)
            write_rows(found, self.columns, scripts, lexicon if split == SPLITS[0] else None, folder / f"{split}.jsonl")

    def inputs(self, corpus: Path, folder: Path) -> Mapping[str, Sequence[str]]:
        """See `prepare`."""
        columns = (SOURCE, TARGET) if self.placeholders else self.columns
        data = given("data.path", folder if self.placeholders else corpus)
        ours = ["task=translation", f"task.target={columns[1]}", "data=local", data, f"data.text={columns[0]}"]
        return {PART: ours}

    def settle(self, corpus: Path, parts: Mapping[str, Runner], folder: Path) -> Mapping[str, Any]:
        """How both languages are written."""
        return asdict(self._settings(corpus))

    def _settings(self, corpus: Path) -> Settings:
        found = pairs(corpus, SPLITS[0], self.columns, LOOKED_AT)
        sources, targets = ([one[side] for one in found] for side in (0, 1))
        theirs, written = scripts_of(targets), "".join(targets)
        metric = "bleu_zh" if theirs[:1] == ("CJK",) else "bleu"
        blanks = sum(map(str.isspace, written)) >= BLANKS * len(written)
        terms = dict(self.glossary) if isinstance(self.glossary, Mapping) else {}
        scripts = list(scripts_of(sources))
        return Settings(*self.columns, scripts, blanks, metric, terms, self.placeholders, self.most_characters)

    def rows(self, corpus: Path) -> Sequence[Row]:
        """The test sentences."""
        return [one._asdict() for one in pairs(corpus, SPLITS[2], self.columns, self.judged)]

    def requests(self, rows: Sequence[Row]) -> Sequence[Asked]:
        """Their texts."""
        return [row["source"] for row in rows]
