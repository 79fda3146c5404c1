"""Entries of a collection for a query."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from millis import tasks
from millis.data import neighbour_graph
from millis.data.collection import ENTRY, Collection
from millis.data.dataset import Dataset, Split
from millis.data.vectors import Vectors
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
TASK = Retrieval("faq.jsonl").over(ENTRIES, Vectors(np.array([[1, 0], [0, 1], [0.6, 0.8]], np.float32)))
FIRST_TEN = sum(1 / place for place in range(1, 11))  # of reciprocal ranks


def outputs(*vector):
    return (np.array([vector], np.float32),)


def circle(count):
    """A task whose entries are `count` directions of a half circle, in their order."""
    angles = np.pi * np.arange(count) / count
    vectors = Vectors(np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32))
    return Retrieval("faq.jsonl").over(tuple(map(str, range(count))), vectors)


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
        task = Retrieval("faq.jsonl").over(("x",) * (2 * count + 1), vectors)
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


def carried_again(task, cache, change=lambda arrays: None, **described):
    """The task as an artifact has it, its arrays changed by `change`, its description by `described`."""
    arrays = dict(task.carried(cache).arrays)
    change(arrays)
    return tasks.read(json.loads(json.dumps({**task.described(), **described}))).carrying(arrays)


def test_an_artifact_describes_it_and_carries_the_collection(tmp_path):
    task = circle(50)
    again = carried_again(task, tmp_path)
    assert again.described() == task.described() and again.vectors == task.vectors and again.entries == task.entries
    assert len(json.dumps(task.described())) < 300 and task.carried(tmp_path).arrays["vectors"].nbytes == 50 * 2 * 2
    for angle in np.pi * (np.arange(50) + 0.2) / 50:  # nearer to one neighbour than to the other
        ours, theirs = (one.answer(outputs(np.cos(angle), np.sin(angle)), None) for one in (task, again))
        assert theirs.entries == ours.entries and theirs.ranked == ours.ranked
        assert theirs.cosines == pytest.approx(ours.cosines, abs=1e-3)
    bare = tasks.read(task.described())
    assert (bare.outputs, bare.summary, bare.identity) == (task.outputs, task.summary, task.identity)


def put(name, value):
    return lambda arrays: arrays.__setitem__(name, np.asarray(value))


@pytest.mark.parametrize(("change", "message"), [
    (lambda arrays: arrays.clear(), "the collection lacks texts: expected 3 and where each ends"),
    (put("ends", [7, 14]), "the collection lacks texts: expected 3 and where each ends"),
    (put("ends", np.array([7.0, 14.0, 18.0])), "the collection lacks texts"),
    (put("ends", [7, 14, 19]), "the collection's texts end elsewhere than it says"),
    (put("ends", [14, 7, 18]), "the collection's texts end elsewhere than it says"),
    (put("texts", np.full(18, 255, np.uint8)), "the collection has texts that are no UTF-8"),
    (put("texts", np.full(18, 97, np.uint8)), "another than the manifest's: its entries or their vectors differ"),
    (put("vectors", np.zeros((3, 2), np.float16)), "another than the manifest's: its entries or their vectors differ"),
    (put("vectors", np.zeros((2, 2), np.float16)), "lacks vectors: expected 2 finite numbers for each of 3 entries"),
    (put("vectors", np.zeros((3, 2), np.float32)), "lacks vectors: expected 2 finite numbers for each of 3 entries"),
    (put("vectors", np.full((3, 2), np.inf, np.float16)), "lacks vectors: expected 2 finite numbers"),
])  # fmt: skip
def test_another_collection_than_the_manifests_is_refused(tmp_path, change, message):
    with pytest.raises(MillisError, match=message):
        carried_again(TASK, tmp_path, change)


@pytest.mark.parametrize(("damage", "message"), [
    ({"size": 0}, "size"), ({"width": 0}, "width"), ({"width": "two"}, "width"), ({"vectors": 1}, "vectors"),
])  # fmt: skip
def test_a_damaged_description_is_refused(damage, message):
    with pytest.raises(MillisError, match=message):
        tasks.read({**TASK.described(), **damage})


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """A collection with a graph, whatever the clock says, and the folder that keeps it."""
    cache = tmp_path_factory.mktemp("searched")
    values = np.random.default_rng(0).normal(size=(300, 8)).astype(np.float32)
    vectors = Vectors(values / np.linalg.norm(values, axis=1, keepdims=True))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retrieval, "SEARCHED", 300)
        patch.setattr(neighbour_graph, "_in_turns", lambda *_: (2.0, 1.0))
        patch.setattr("millis.models.sentence_vectors.sentence_vectors", lambda *_: vectors.values[:20] + 0.01)
        task = Retrieval("faq.jsonl", encoder=tiny).over(tuple(map(str, range(300))), vectors, ("where is it",))
        return task, task.carried(cache), cache


def test_a_graph_is_carried_where_it_is_as_good_and_faster(searched):
    task, carried, cache = searched
    assert {name for name in carried.arrays if name.startswith("graph/")} >= {"graph/neighbors", "graph/of"}
    assert len(list((cache / "graph").glob("*.safetensors"))) == 1
    (note,) = carried.notes
    assert note.startswith("a graph of neighbours (HNSW) searches the collection's 300 entries: of the ten that an ex")
    assert note.endswith("in 1.000 ms a query; exact search takes 2.000 ms")
    again = tasks.read(task.described()).carrying(carried.arrays)
    assert again.graph is not None and again.vectors == task.vectors
    for row in range(5):
        query = (task.vectors.values[row : row + 1] * 3,)
        found, exact = again.answer(query, None), task.answer(query, None)
        assert found.ranked[0] == exact.ranked[0] == row and len(found.ranked) == 10
        assert found.cosines[0] == pytest.approx(1, abs=1e-3)


def test_a_graph_of_other_vectors_is_refused(searched):
    task, carried, cache = searched
    turned = Retrieval("faq.jsonl").over(task.entries, Vectors(task.vectors.values[::-1].copy()))
    mixed = {**turned.carried(cache).arrays, **{k: v for k, v in carried.arrays.items() if k.startswith("graph/")}}
    with pytest.raises(MillisError, match="is a graph of other vectors than those beside it"):
        tasks.read(turned.described()).carrying(mixed)


def test_without_faiss_every_entry_is_looked_at(searched, tmp_path, monkeypatch):
    monkeypatch.setattr(retrieval, "SEARCHED", 300)
    monkeypatch.setattr(retrieval, "find_spec", lambda name: None)
    carried = searched[0].carried(tmp_path)
    assert set(carried.arrays) == {"texts", "ends", "vectors"} and carried.notes == (retrieval.UNSEARCHED,)


@pytest.mark.parametrize(("times", "found"), [((1.0, 2.0), 1.0), ((2.0, 1.0), 0.9)])
def test_a_graph_that_is_slower_or_misses_entries_is_not_carried(searched, tmp_path, monkeypatch, times, found):
    task = searched[0]
    monkeypatch.setattr(retrieval, "SEARCHED", 300)
    monkeypatch.setattr(neighbour_graph, "_in_turns", lambda *_: times)
    monkeypatch.setattr(neighbour_graph, "overlap", lambda *_: found)
    monkeypatch.setattr("millis.models.sentence_vectors.sentence_vectors", lambda *_: task.vectors.values[:5])
    carried = task.carried(tmp_path)
    assert set(carried.arrays) == {"texts", "ends", "vectors"}
    assert carried.notes[0].startswith("every entry is looked at of the collection's 300 entries: of the ten that")


def test_artifacts_of_one_collection_answer_the_same_question():
    other = Retrieval("elsewhere.csv").over(ENTRIES, Vectors(np.eye(3, dtype=np.float32)))
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


def test_it_learns_the_collections_texts_and_vectors(tmp_path):
    learned = Retrieval("faq.jsonl", encoder=tiny).learned(dataset("where is it"))
    assert learned.entries == ENTRIES and learned.outputs[0].width == 16
    assert np.linalg.norm(learned.vectors.values, axis=1) == pytest.approx([1.0] * 3, abs=1e-6)
    assert learned.references.vectors is learned.vectors
    assert learned.asked == ("where is it",)
    assert carried_again(learned, tmp_path).vectors == learned.vectors


def test_more_entries_than_an_artifact_carries_are_refused(monkeypatch):
    monkeypatch.setattr(retrieval, "CARRIED", 2)
    with pytest.raises(MillisError) as caught:
        Retrieval("faq.jsonl").learned(dataset("where is it"))
    assert str(caught.value) == (
        "task.collection=faq.jsonl has 3 entries, and an artifact holds up to 2. Give a part of it; an index of your "
        "own may search the rest with the query's vector"
    )


def test_so_many_entries_are_carried():
    assert retrieval.CARRIED == 200_000
    with pytest.raises(MillisError, match="has 200,001 entries, and an artifact holds up to 200,000"):
        Retrieval("faq.jsonl").learned(dataset("where is it", entries=("x",) * 200_001))


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
