"""The corpus that ships, what the encoder learns, and towers that are settled."""

import json
from random import Random

import numpy as np
import pytest
from encoders import encoder

from millis.applications.manifest import seal
from millis.applications.recommendation.corpus import PARTS, SERIES, SINGLE, stories
from millis.applications.recommendation.interactions import read_histories, read_items
from millis.applications.recommendation.learning import Learning
from millis.applications.recommendation.plan import Recommendation
from millis.applications.runner import load
from millis.errors import MillisError

PLAN = Recommendation({}, Learning(size=8, hidden=8, history=5, negatives=64, epochs=2))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    PLAN.write_corpus(folder)
    return folder


def test_the_corpus_is_the_same_wherever_it_is_written(corpus, tmp_path):
    PLAN.write_corpus(tmp_path)
    for name in ("items.jsonl", "interactions.jsonl"):
        assert (tmp_path / name).read_bytes() == (corpus / name).read_bytes()
    PLAN.check(corpus)


def test_titles_differ_and_series_are_read_in_order(corpus):
    catalogue = stories(Random(1))
    assert len({one.title for one in catalogue}) == len(catalogue) == 8 * (SERIES * PARTS + SINGLE)
    items = read_items(corpus, PLAN.columns)
    before = {place: place - 1 for place, text in enumerate(items.texts) if ", part 2" in text or ", part 3" in text}
    for one in read_histories(corpus, PLAN.columns, items).test:
        order = [*one.history, one.next]
        assert all(before[item] in order[: order.index(item)] for item in order if item in before)


def test_the_encoder_learns_from_the_items_texts(corpus, tmp_path):
    PLAN.prepare(corpus, tmp_path)
    rows, entries = (
        [json.loads(line) for line in (tmp_path / f"{name}.jsonl").read_text().splitlines()]
        for name in ("train", "collection")
    )
    assert [(row["label"], row["text"]) for row in rows] == [(one["id"], one["text"]) for one in entries]
    given = PLAN.inputs(corpus, tmp_path)["encoder"]
    assert given[:1] == ["task=retrieval"]
    assert f'task.collection="{tmp_path}/collection.jsonl"' in given


def test_it_is_settled_and_answers(corpus, tmp_path):
    words = sorted({word for text in read_items(corpus, PLAN.columns).texts for word in text.replace(".", " ").split()})
    made = encoder(tmp_path / "encoder", dict(zip(words, map(tuple, np.eye(len(words)).tolist()), strict=True)))
    settings = PLAN.settle(corpus, {"encoder": load(made)}, tmp_path)
    seal(tmp_path, "stories", PLAN.kind, {"encoder": made}, settings=settings)
    runner, rows = load(tmp_path), PLAN.rows(corpus)
    recall, _ = runner.judge(rows)
    assert recall.value > 3 * 100 * 10 / 240  # three times what ten random items would find
    assert len(runner.predict(PLAN.requests(rows)[0]).items) == 10


@pytest.mark.parametrize("text", [(), "title"])
def test_texts_have_columns(text):
    with pytest.raises(MillisError, match=r"app\.text names no columns"):
        Recommendation({}, text=text)
