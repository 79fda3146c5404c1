"""The generator and the files it wrote: the same content, no leaks between splits, hard for a bag of words."""

import hashlib
import json
import re
import subprocess
import sys
from collections import Counter
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from millis.data.corpus import generate
from millis.data.corpus.generate import FOLDER, OUT_OF_SCOPE, Row, labels, make_corpus, normalised, read_content
from millis.data.corpus.grammar import SPLITS, Template, read_clauses, read_templates

FILES = {"train": "train.jsonl.gz", "validation": "validation.jsonl", "test": "test.jsonl"}


@pytest.fixture(scope="module")
def corpus() -> dict[str, list[Row]]:
    return make_corpus()


@pytest.fixture(scope="module")
def files() -> dict[str, list[dict[str, object]]]:
    return {
        split: [json.loads(line) for line in read_content(FOLDER / name).decode().splitlines()]
        for split, name in FILES.items()
    }


def test_the_files_are_what_the_templates_yield() -> None:
    assert generate.main(["--check"]) == 0


def test_check_names_a_changed_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert generate.main(["--folder", str(tmp_path)]) == 0
    assert generate.main(["--check", "--folder", str(tmp_path)]) == 0
    (tmp_path / "test.jsonl").write_text("{}\n")
    (tmp_path / "labels.txt").unlink()
    assert generate.main(["--check", "--folder", str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert said == "differ from the templates: test.jsonl, labels.txt; run without --check to write them anew\n"


def test_checksums_are_of_the_uncompressed_content() -> None:
    checksums = json.loads((FOLDER / "checksums.json").read_text())
    assert set(checksums) == {*FILES.values(), "labels.txt"}
    for name, checksum in checksums.items():
        assert hashlib.sha256(read_content(FOLDER / name)).hexdigest() == checksum


def test_packed_bytes_carry_no_time_and_no_name(tmp_path: Path) -> None:
    generate.write_content(tmp_path / "a.gz", b"text")
    generate.write_content(tmp_path / "b.gz", b"text")
    packed = (tmp_path / "a.gz").read_bytes()
    assert packed == (tmp_path / "b.gz").read_bytes()
    assert packed[3:8] == bytes(5)  # RFC 1952: flags (no file name), then four bytes of modification time


def test_sizes(files: dict[str, list[dict[str, object]]]) -> None:
    counts = {split: len(rows) for split, rows in files.items()}
    assert counts["train"] >= 3800 and counts["validation"] >= 750 and counts["test"] >= 1100
    assert 6000 <= sum(counts.values()) <= 6600
    words = [len(str(row["text"]).split()) for rows in files.values() for row in rows]
    assert 10 <= np.mean(words) <= 14
    assert sum(path.stat().st_size for path in FOLDER.rglob("*") if path.suffix != ".pyc") < 700_000


def test_every_label_is_valid_and_in_every_split(files: dict[str, list[dict[str, object]]]) -> None:
    names = (FOLDER / "labels.txt").read_text().splitlines()
    assert names == labels() and names[-1] == OUT_OF_SCOPE and len(names) >= 25
    for rows in files.values():
        assert all(set(row) == {"text", "label", "label_name"} for row in rows)
        assert all(names[row["label"]] == row["label_name"] for row in rows)  # type: ignore[call-overload]
        counts = Counter(row["label"] for row in rows)
        assert set(counts) == set(range(len(names)))
        assert max(counts.values()) > 3 * min(counts.values())  # imbalance


def test_the_card_states_the_counts(corpus: dict[str, list[Row]]) -> None:
    card = (FOLDER / "CARD.md").read_text()
    for name in [*labels(), None]:
        rows = {split: [row for row in corpus[split] if name in (None, row.template.intent)] for split in SPLITS}
        cells = [f"{len(of_split)} ({len({row.template for row in of_split})})" for of_split in rows.values()]
        line = f"| {name} | {' | '.join(cells)} |" if name else "| **all** | **" + "** | **".join(cells) + "** |"
        assert line in card


def test_no_text_occurs_twice(files: dict[str, list[dict[str, object]]]) -> None:
    texts = [normalised(str(row["text"])) for rows in files.values() for row in rows]
    assert len(texts) == len(set(texts))


def test_normalised_ignores_case_and_spacing() -> None:
    assert normalised(" Where  is MY\torder? ") == "where is my order?"


def test_splits_share_no_template_and_no_clause(corpus: dict[str, list[Row]]) -> None:
    used = {split: {normalised(row.template.text) for row in rows} for split, rows in corpus.items()}
    said = {
        split: {clause.text for place in ("greeting", "before", "after") for clause in read_clauses(split, place)}
        for split in SPLITS
    }
    for one, other in (("train", "validation"), ("train", "test"), ("validation", "test")):
        assert not used[one] & used[other]
        assert not said[one] & said[other]
    assert all(row.template.split == split for split, rows in corpus.items() for row in rows)


def words(template: Template) -> set[str]:
    return set(re.findall(r"[\w']+", template.text))


def test_templates_of_different_splits_are_no_near_copies() -> None:
    for intent in labels():
        of_split = {split: read_templates(split)[intent] for split in SPLITS}
        for one, other in (("train", "validation"), ("train", "test"), ("validation", "test")):
            for a, b in product(of_split[one], of_split[other]):
                assert len(words(a) & words(b)) <= 0.62 * len(words(a) | words(b)), (a, b)


def test_every_template_is_used_and_none_dominates(corpus: dict[str, list[Row]]) -> None:
    for split, rows in corpus.items():
        written = [template for templates in read_templates(split).values() for template in templates]
        uses = Counter(row.template for row in rows)
        assert len({normalised(template.text) for template in written}) == len(written)
        assert set(uses) == set(written)
        of_intent = Counter(row.template.intent for row in rows)
        assert all(count <= of_intent[template.intent] / 3 for template, count in uses.items())


def test_a_sentence_comes_back_at_most_so_often() -> None:
    template = Template("test", "track_order", 0, "where is my (crate|box|gift|bag|case|tin|hat|mug|cup|pen|jar|lid)?")
    rows = generate.make_intent("test", "track_order", [template], 0, set())
    things = Counter(thing for row in rows for thing in template.text[13:-2].split("|") if f"my {thing}" in row.text)
    assert len(rows) == round(38 * 1.5)  # 57 rows of 12 sentences
    assert 1 < max(things.values()) <= generate.MOST_USES_OF_A_SENTENCE


def test_too_few_expansions_are_reported() -> None:
    with pytest.raises(ValueError, match="test/pay_later: the templates yield 5 rows of 30; add templates"):
        generate.make_intent("test", "pay_later", [Template("test", "pay_later", 0, "may i pay later?")], 0, set())


def test_the_generator_needs_the_standard_library_only() -> None:
    script = "import sys, millis.data.corpus.generate; print(*{name.split('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "numpy", "transformers", "tokenizers", "omegaconf"} & set(loaded)


def test_shares_name_intents() -> None:
    assert set(generate.SHARES) <= set(labels())


def test_a_bag_of_words_stays_well_below_a_sentence_encoder(files: dict[str, list[dict[str, object]]]) -> None:
    texts = {split: [str(row["text"]) for row in rows] for split, rows in files.items()}
    targets = {split: [row["label"] for row in rows] for split, rows in files.items()}
    vectoriser = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    features = vectoriser.fit_transform(texts["train"])
    classifier = LogisticRegression(C=16, max_iter=100).fit(features, targets["train"])
    accuracy = 100 * classifier.score(vectoriser.transform(texts["test"]), targets["test"])
    # 79 when measured, 94 for the fine-tuned encoder (CARD.md): far above chance, yet words alone do not do.
    assert 70 <= accuracy <= 84
