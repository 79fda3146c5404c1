"""The articles that ship, and what is settled on them."""

import json

import numpy as np
import pytest
from encoders import encoder

from millis.applications.manifest import seal
from millis.applications.runner import load
from millis.applications.summarisation.documents import documents
from millis.applications.summarisation.plan import Summarisation
from millis.errors import MillisError

PLAN = Summarisation({}, learned_from=40, sentences=2)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """The corpus, cut short."""
    folder = tmp_path_factory.mktemp("corpus")
    PLAN.write_corpus(folder)
    for split, count in (("validation", 15), ("test", 15)):
        file = folder / f"{split}.jsonl"
        file.write_text("".join(file.read_text().splitlines(keepends=True)[:count]))
    return folder


def test_the_corpus_is_the_same_wherever_it_is_written(corpus, tmp_path):
    PLAN.write_corpus(tmp_path)
    assert (tmp_path / "train.jsonl").read_bytes() == (corpus / "train.jsonl").read_bytes()
    PLAN.check(corpus)


def test_articles_are_of_several_sections_and_differ(corpus):
    told = documents(corpus, "train")
    assert len({one.text for one in told}) == len(told)
    assert all("\n\n" in one.text and "{" not in one.text + one.summaries[0] for one in told)


def test_the_parts_learn_from_sentences(corpus, tmp_path):
    PLAN.prepare(corpus, tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "train.jsonl").read_text().splitlines()]
    assert {row["label"] for row in rows} == {str(number) for number in range(40)}
    given = PLAN.inputs(corpus, tmp_path)
    assert given["survey"] == given["close"]
    assert given["close"][0] == "task=retrieval"


def test_worth_is_learned_and_beats_the_first_sentences(corpus, tmp_path):
    words = sorted({word.strip('.,"') for one in documents(corpus, "train") for word in one.text.split()})
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(len(words), 32))
    meanings = {word: tuple(row) for word, row in zip(words, vectors.tolist(), strict=True)}
    made = {name: encoder(tmp_path / name, meanings) for name in ("survey", "close")}
    settings = PLAN.settle(corpus, {name: load(folder) for name, folder in made.items()}, tmp_path)
    assert settings["sentences"] == 2
    seal(tmp_path, "articles", PLAN.kind, made, settings=settings)
    rows, runner = PLAN.rows(corpus), load(tmp_path)
    learned = runner.judge(rows)[0].value
    seal(tmp_path, "articles", PLAN.kind, made, settings={**settings, "method": "lead"})
    assert learned > load(tmp_path).judge(rows)[0].value + 10
    assert PLAN.requests(rows) == [row["document"] for row in rows]


@pytest.mark.parametrize(("change", "message"), [
    ({"sentences": 0}, "app.sentences, app.most_sentences and app.learned_from are at least 1"),
    ({"closely": -1}, "app.closely 0"),
    ({"method": "textrank"}, "app.method='textrank': expected worth or lead"),
])  # fmt: skip
def test_settings_that_cannot_be_are_refused(change, message):
    with pytest.raises(MillisError, match=message):
        Summarisation({}, **change)


def test_a_corpus_without_a_split_is_refused(tmp_path):
    with pytest.raises(MillisError, match="has no file train with one of"):
        PLAN.check(tmp_path)
