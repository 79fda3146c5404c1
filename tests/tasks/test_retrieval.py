"""Entries of a collection for a query."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from millis import tasks
from millis.data.collection import ENTRY, Collection, Vectors
from millis.data.dataset import Dataset, Split
from millis.errors import MillisError
from millis.metrics import kinds
from millis.metrics.contract import items
from millis.models.scratch import Scratch
from millis.pipeline import second_try
from millis.sweep.baselines import majority
from millis.tasks import retrieval
from millis.tasks.judging import item_scores, judge, scores
from millis.tasks.retrieval import Found, Retrieval
from millis.training.fit import Fitted
from millis.types import Output

ENTRIES = ("refunds", "parcels", "both")
TASK = Retrieval("faq.jsonl", entries=ENTRIES, vectors=Vectors(np.array([[1, 0], [0, 1], [0.6, 0.8]], np.float32)))
FIRST_TEN = sum(1 / place for place in range(1, 11))  # of reciprocal ranks


def outputs(*vector):
    return (np.array([vector], np.float32),)


def circle(count):
    """A task whose entries are `count` directions of a half circle, in their order."""
    angles = np.pi * np.arange(count) / count
    vectors = Vectors(np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32))
    return Retrieval("faq.jsonl", entries=tuple(map(str, range(count))), vectors=vectors)


def dataset(*texts, entries=ENTRIES):
    split = Split(list(texts), [(0,)] * len(texts))
    return Dataset("toy", {ENTRY: entries}, split, split, split)


def tiny(outputs, texts, labels=()):
    torch.manual_seed(0)
    return Scratch(layers=1, hidden_size=16, heads=2, ffn_size=16, vocab_size=60)(outputs, texts)


def test_the_nearest_entries_come_first():
    # (3, 4) has the cosines 3/5, 4/5 and (1.8 + 3.2) / 5 = 1 with them, whatever its length.
    found = TASK.answer(outputs(3, 4), None)
    assert found == (("both", "parcels", "refunds"), pytest.approx((1.0, 0.8, 0.6)), (2, 1, 0))
    assert found.value() == [2, 1, 0] and found.text == "both (1.00)"
    assert TASK.answer(outputs(0.003, 0.004), None).ranked == found.ranked
    assert json.loads(json.dumps(found.value())) == found.value()


def test_an_answer_has_ten_entries():
    found = circle(64).answer(outputs(1, 0), None)
    assert found.ranked == tuple(range(10)) and found.entries == tuple("0123456789")
    assert list(found.cosines) == sorted(found.cosines, reverse=True)


def test_entries_that_are_equally_near_come_in_their_order():
    for count in (3, 12, 40):
        vectors = Vectors(np.array([[0, 1], *[[1, 0]] * count, *[[0, 1]] * count], np.float32))
        task = Retrieval("faq.jsonl", entries=("x",) * (2 * count + 1), vectors=vectors)
        expected = [*range(1, count + 1), 0, *range(count + 1, 2 * count + 1)]
        assert task.answer(outputs(1, 0), None).value() == expected[:10]


@pytest.mark.parametrize(("length", "expected"), [(60, "x" * 60), (61, "x" * 57 + "...")])
def test_a_long_entry_is_shown_by_its_beginning(length, expected):
    assert Found(("x" * length, "y"), (0.987, 0.1), (3, 1)).text == f"{expected} (0.99)"


def test_a_models_output_is_a_vector_as_wide_as_the_entries():
    assert TASK.outputs == (Output("vector", "text", 2, "vector"),)
    assert TASK.summary == "entries of a collection of 3"
    assert circle(1234).summary == "entries of a collection of 1,234"
    assert TASK.references == Collection("faq.jsonl", None, "id", "text", TASK.vectors)


def test_an_artifact_describes_it():
    task = circle(50)
    described = json.loads(json.dumps(task.described()))
    again = tasks.read(described)
    assert again.described() == task.described() and again.vectors == task.vectors
    assert len(described["vectors"]) == pytest.approx(50 * 2 * 2 * 4 / 3, abs=4), "two bytes a number, in base64"
    for angle in np.pi * (np.arange(50) + 0.2) / 50:  # nearer to one neighbour than to the other
        ours, theirs = (one.answer(outputs(np.cos(angle), np.sin(angle)), None) for one in (task, again))
        assert theirs.entries == ours.entries and theirs.ranked == ours.ranked
        assert theirs.cosines == pytest.approx(ours.cosines, abs=1e-3)


@pytest.mark.parametrize(("damage", "message"), [
    ({"vectors": "no base64!"}, "vectors are no numbers: "),
    ({"vectors": "AAAA"}, "vectors are no numbers: "),
    ({"vectors": ""}, r"vectors have 0 numbers; expected 2 finite ones for each of 3"),
    ({"width": 3}, r"vectors have 6 numbers; expected 3 finite ones for each of 3"),
    ({"width": -1}, "vectors have 6 numbers; expected -1 finite ones"),
    ({"entries": []}, r"vectors have 6 numbers; expected 2 finite ones for each of 0"),
    ({"entries": ["refunds", "parcels"]}, r"vectors have 6 numbers; expected 2 finite ones for each of 2"),
    ({"width": "two"}, "width"),
    ({"entries": "refunds"}, "entries"),
    ({"entries": [1, 2, 3]}, "entries"),
])  # fmt: skip
def test_a_damaged_description_is_refused(damage, message):
    with pytest.raises(MillisError, match=message):
        tasks.read({**TASK.described(), **damage})


def test_artifacts_of_one_collection_answer_the_same_question():
    other = Retrieval("elsewhere.csv", entries=ENTRIES, vectors=Vectors(np.eye(3, dtype=np.float32)))
    assert other.identity == TASK.identity and other.described() != TASK.described()
    assert circle(3).identity != TASK.identity
    json.dumps(TASK.identity)


def test_an_item_is_a_query():
    task = circle(12)
    answers = [[3, 0, 1, 2, 4, 5, 6, 7, 8, 9], [11, 10, 9, 8, 7, 6, 5, 4, 3, 2]]
    found, right = task.items(answers, [], [(0, 11), (11,)])
    # The entry 0 was found second, 11 not at all; then 3, 1, 2, 4, ..., and one that was neither found nor right.
    assert found == [(9, 0, 10, *range(8, 0, -1), 0), (*range(10, 0, -1), 0, 0)]
    assert right == [(1, 1, *[0] * 10), (1, *[0] * 11)]


def test_models_that_found_different_entries_are_judged_by_the_same_references():
    references = [(0, 11), (5,)]
    one, other = ([[*range(10)], [*range(10)]], [[11, 10, 9, 8, 7, 6, 5, 4, 3, 2], [*range(1, 11)]])
    assert circle(12).items(one, [], references)[1] == circle(12).items(other, [], references)[1]


@pytest.mark.parametrize(("answers", "references"), [([], [(0,)]), ([[0, 1]], [(0,), (1,)])])
def test_an_answer_for_each_query_is_asked(answers, references):
    with pytest.raises(
        MillisError, match=rf"^got {len(answers)} answers to {len(references)} queries: expected one ea"
    ):
        circle(12).items(answers, [], references)


def test_vectors_are_ranked_first():
    task = circle(12)
    vectors = [(2.0, 0.0), (0.0, 0.5)]
    places = [task.answer(outputs(*vector), None).value() for vector in vectors]
    references = [(0,), (1, 6)]
    assert task.items(vectors, vectors, references) == task.items(places, references, references)


@pytest.mark.parametrize(("entries", "wanted", "expected"), [
    (3, (0, 2), 3),
    (12, (0, 11), 12),
    (200, (0,), 200),
    (300, (0,), 200),
    (300, (290, 291), 200),
    (300, tuple(range(100, 295)), 10 + 195),  # what should have been found is all there
])  # fmt: skip
def test_an_item_has_other_entries_for_what_a_random_order_is_worth(entries, wanted, expected):
    answer = list(range(min(entries, 10)))
    (found,), (right,) = circle(entries).items([answer], [], [wanted])
    assert len(found) == len(right) == expected and sum(right) == len(wanted)
    assert sorted(found, reverse=True)[: len(answer)] == list(range(10, 10 - len(answer), -1))
    assert right == (1,) * len(wanted) + (0,) * (expected - len(wanted))
    assert [found[place] for place in range(len(wanted))] == [max(0, 10 - entry) for entry in wanted]


def test_perfect_vectors_are_worth_100_in_each_metric():
    for task, references in ((TASK, [(0,), (1,), (2,)]), (circle(300), [(7,), (299,), (0,)])):
        (vectors,) = task.references.targets([""] * 3, references, [None] * 3)
        answers = [task.answer((vector[None],), None).value() for vector in vectors]
        perfect = {"mrr_at_10": 100, "recall_at_1": 100, "recall_at_5": 100}
        assert scores(task, answers, references) == perfect
        assert item_scores(task, *task.items(list(map(tuple, vectors.tolist())), [], references)) == perfect


def test_a_judgement_by_hand():
    # Found first, third, and not at all, of 12.
    answers = [[5, *range(5), 6, 7, 8, 9], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]]
    found = judge(circle(12), answers, [(5,), (2,), (11,)])
    assert found.values == {
        "mrr_at_10": pytest.approx(100 * (1 + 1 / 3 + 0) / 3),
        "recall_at_1": pytest.approx(100 / 3),
        "recall_at_5": pytest.approx(200 / 3),
    }
    assert len(found.answers) == 3 and all(len(one) == 12 for one in found.references)


@pytest.mark.parametrize(("entries", "count"), [(12, 12), (200, 200), (1000, 200)])
def test_a_constant_answer_is_worth_what_a_random_order_is(entries, count):
    task, references = circle(entries), [(place,) for place in range(5)]
    _, right = task.items(references, references, references)
    constant = majority(items(right), kinds(task.metrics().values()))
    assert item_scores(task, constant.tolist(), right) == {
        "mrr_at_10": pytest.approx(100 * FIRST_TEN / count),
        "recall_at_1": pytest.approx(100 / count),
        "recall_at_5": pytest.approx(500 / count),
    }


def test_a_teacher_of_vectors_has_to_beat_a_random_order():
    task, references = circle(200), [(place % 200,) for place in range(100)]
    found = SimpleNamespace(dataset=SimpleNamespace(validation=SimpleNamespace(references=references)), task=task)
    found.score = lambda ours, theirs: item_scores(task, ours, theirs)["mrr_at_10"]
    random = 100 * FIRST_TEN / 200
    assert second_try.learned(Fitted(random + 0.1, 2, 1.0, []), found)
    assert not second_try.learned(Fitted(random - 0.1, 2, 1.0, []), found)


def test_answers_are_the_same_where_the_nearest_is():
    assert TASK.same([[1, 2, 0], [0, 1, 2]], [[1, 0, 2], [1, 0, 2]]) == [True, False]


def test_it_learns_the_collections_texts_and_vectors():
    learned = Retrieval("faq.jsonl", encoder=tiny).learned(dataset("where is it"))
    assert learned.entries == ENTRIES and learned.outputs[0].width == 16
    assert np.linalg.norm(learned.vectors.values, axis=1) == pytest.approx([1.0] * 3, abs=1e-6)
    assert learned.references.vectors is learned.vectors
    again = tasks.read(json.loads(json.dumps(learned.described())))
    assert again.identity == learned.identity and again.vectors == learned.vectors


def test_more_entries_than_an_artifact_carries_are_refused(monkeypatch):
    monkeypatch.setattr(retrieval, "CARRIED", 2)
    with pytest.raises(MillisError) as caught:
        Retrieval("faq.jsonl").learned(dataset("where is it"))
    assert str(caught.value) == (
        "task.collection=faq.jsonl has 3 entries, and an artifact holds up to 2. Give a part of it; an index of your "
        "own may search the rest with the query's vector"
    )


def test_so_many_entries_are_carried():
    assert retrieval.CARRIED == 20_000
    with pytest.raises(MillisError, match="has 20,001 entries, and an artifact holds up to 20,000"):
        Retrieval("faq.jsonl").learned(dataset("where is it", entries=("x",) * 20_001))


def test_pairs_are_refused():
    with pytest.raises(MillisError, match=r"^toy has pairs of texts, and a query is one: name its column with "
                       r"data\.text=$"):  # fmt: skip
        Retrieval("faq.jsonl", encoder=tiny).learned(dataset(("where", "is it")))


@pytest.mark.parametrize(("settings", "message"), [
    ({"max_length": 2}, "task.max_length=2: expected at least 3"),
    ({"metric": "accuracy"}, "task.metric=accuracy judges label, and this task answers scores a text"),
    ({"metric": "mrr_at_1"}, "task.metric=mrr_at_1 is unknown to tasks that answer scores a text: .*did you mean "
     "'mrr_at_10'"),
    ({"also": ["rmse"]}, "task.metric=rmse judges number"),
])  # fmt: skip
def test_what_cannot_be_is_refused(settings, message):
    with pytest.raises(MillisError, match=message):
        Retrieval("faq.jsonl", encoder=tiny, **settings).learned(dataset("where is it"))
