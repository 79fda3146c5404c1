"""The parallel corpus: the same everywhere, split by template, and nothing in it twice."""

import re
import subprocess
import sys
from collections import Counter
from itertools import combinations
from pathlib import Path
from random import Random

import pytest

from millis.data.corpus.grammar import pick
from millis.data.parallel import generate
from millis.data.parallel.generate import ROWS, Template, corpus, normalised, phrase, splits, templates, words
from millis.data.parallel.lexicon import MODELS, THINGS, Triple
from millis.data.parallel.values import MONTHS
from millis.store import fingerprint

EVERY = [row for rows in corpus().values() for row in rows]
FINGERPRINT = "437dbb17337cc8f9"


def test_it_is_the_same_corpus_everywhere():
    assert fingerprint([[*row.text] for row in EVERY]) == FINGERPRINT


def test_another_process_makes_the_same_whatever_its_hashes():
    script = "from millis.data.parallel.generate import corpus\nfrom millis.store import fingerprint\n"
    script += "print(fingerprint([[*row.text] for rows in corpus().values() for row in rows]))"
    environment = {"PYTHONPATH": ":".join(sys.path), "PYTHONHASHSEED": "7"}
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment)
    assert found.stdout.strip() == FINGERPRINT


def test_sizes():
    assert {split: len(rows) for split, rows in corpus().items()} == ROWS
    assert len(EVERY) >= 5000
    lengths = [len(row.text.english.split()) for row in EVERY]
    assert 3 <= min(lengths) <= 4 and 25 <= max(lengths) <= 30
    assert 10 <= sum(lengths) / len(lengths) <= 13
    for language in (0, 1):
        known = {word for row in EVERY for word in re.findall(r"[^\W\d_]+", row.text[language].casefold())}
        assert 600 <= len(known) <= 1500
    assert len({character for row in EVERY for character in row.text.chinese}) > 500


def test_no_sentence_of_any_language_comes_twice():
    for language in range(3):
        assert len({normalised(row.text[language]) for row in EVERY}) == len(EVERY)
    assert normalised(" Where  IS\tit? ") == "where is it?"


def test_splits_share_no_template():
    used = {split: {row.template for row in rows} for split, rows in corpus().items()}
    written = {split: {template.parts for template in some} for split, some in splits().items()}
    for one, other in combinations(ROWS, 2):
        assert not used[one] & used[other] and not written[one] & written[other]
    assert sum(map(len, written.values())) == len(templates()) == len({template.parts for template in templates()})
    for split in ROWS:
        assert used[split] <= written[split]
    assert len(used["test"]) > 400


def test_what_held_out_templates_are_made_of_is_trained():
    trained = Counter(part for template in splits()["train"] for part in template.parts)
    rows = Counter(part for row in corpus()["train"] for part in row.template)
    for split in ("validation", "test"):
        for template in splits()[split]:
            assert len(template.parts) == 1 or all(trained[part] >= 2 and rows[part] >= 3 for part in template.parts)


def test_facts_of_words_that_nothing_else_has_are_trained():
    spoken = Counter(word for template in templates() for word in template.words)
    facts = {split: [one for one in some if not one.parts[1:]] for split, some in splits().items()}
    for split in ("validation", "test"):
        assert facts[split] and all(spoken[word] > 1 for one in facts[split] for word in one.words)
    assert any(one.parts == ("The courier left {my:parcel} in the rain.",) for one in facts["train"])


def test_every_word_of_held_out_rows_is_trained():
    known = set().union(*(words(row.text) for row in corpus()["train"]))
    for split in ("validation", "test"):
        for row in corpus()[split]:
            assert words(row.text) <= known, row.text
    assert words(Triple("It's LK-1 2", "Für", "猫。")) == {"en:it", "en:s", "en:lk", "de:für", "猫"}


def test_no_template_dominates():
    for split, rows in corpus().items():
        uses = Counter(row.template for row in rows)
        assert max(uses.values()) <= 41, split
    assert len({row.template for row in corpus()["train"]}) > 3000


def test_names_and_numbers_are_copied():
    copied = re.compile(rf"LK-\d{{6}}|K-\d{{5}}|{'|'.join(MODELS)}")
    amounts = re.compile(r"€(\d+)\.(\d\d)")
    found = Counter()
    for row in EVERY:
        names, sums = copied.findall(row.text.english), amounts.findall(row.text.english)
        for text in row.text[1:]:
            assert sorted(copied.findall(text)) == sorted(names), row.text
        for whole, cents in sums:
            assert f"{whole},{cents} Euro" in row.text.german and f"{whole}.{cents}欧元" in row.text.chinese, row.text
        found.update(names=bool(names), sums=bool(sums))
    assert found["names"] > 800 and found["sums"] > 150


def test_dates_and_times_say_the_same():
    months = [one.english for one in MONTHS]
    dates = Counter()
    for row in EVERY:
        for day, month in re.findall(rf"(\d+) ({'|'.join(months)})\b", row.text.english):
            assert re.search(rf"\b{day}\. [A-Z]", row.text.german), row.text
            assert f"{months.index(month) + 1}月{day}日" in row.text.chinese, row.text
            dates[month] += 1
        for hour, half in re.findall(r"(\d+) ([ap])\.m", row.text.english):
            assert f"{int(hour) % 12 + 12 * (half == 'p')} Uhr" in row.text.german, row.text
            assert f"{hour}点" in row.text.chinese, row.text
    assert len(dates) == 12


def test_patterns_leave_nothing_behind():
    for row in EVERY:
        assert not re.search(r"[{}@|‖_+]|  ", "".join(row.text)), row.text
        assert re.fullmatch(r"[A-ZÄÖÜ€0-9][\w .,?'€-]*[.?]", row.text.german), row.text.german


def test_phrases_are_of_the_kinds_that_were_asked_for():
    rng = Random(0)
    drawn = [phrase(rng, ["smart", "battery"], ["known", "one"], ["phone"]) for _ in range(300)]
    assert {one.article for one in drawn} == {"the", "this"} and not any(one.many for one in drawn)
    assert {one.thing.english for one in drawn} == {
        one.english for one in THINGS if {"smart", "battery"} <= one.kinds and one.english != "phone"
    }
    assert not any(one.model and one.adjective.english for one in drawn)
    got = [phrase(rng, ["item"], ["got"]) for _ in range(300)]
    assert {one.article for one in got} == {"the"} and "old" not in {one.adjective.english for one in got}
    assert {one.article for one in (phrase(rng, ["paper"], ["many"]) for _ in range(50))} == {""}


def test_templates_that_say_too_little_are_reported(monkeypatch):
    one = Template(("hello",), frozenset(), lambda rng: Triple(*(pick(rng, "abc") for _ in range(3))))
    monkeypatch.setattr(generate, "splits", lambda: {"train": (one,)})
    monkeypatch.setattr(generate, "ROWS", {"train": 4})
    with pytest.raises(ValueError, match=r"train: templates yield . rows of 4; add some"):
        corpus.__wrapped__()


def test_the_corpus_needs_the_standard_library_only():
    script = "import sys, millis.data.parallel.generate; print(*{name.split('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "numpy", "transformers", "tokenizers", "omegaconf", "msgspec"} & set(loaded)


def test_the_card_states_the_counts():
    card = (Path(generate.__file__).parent / "CARD.md").read_text(encoding="utf-8")
    for split, rows in corpus().items():
        english, german = (sum(len(row.text[i].split()) for row in rows) / len(rows) for i in (0, 1))
        characters = sum(len(row.text.chinese) for row in rows) / len(rows)
        made = len({row.template for row in rows})
        assert f"| {split} | {len(rows)} | {made} | {english:.1f}, {german:.1f} | {characters:.1f} |" in card
