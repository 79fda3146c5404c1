"""Towers learn what follows what, and new items from their texts."""

import numpy as np
import pytest
import torch

from millis.applications.recommendation.interactions import Asked, Histories
from millis.applications.recommendation.judging import places_of, recall
from millis.applications.recommendation.learning import Learning, Towers, _batches, _loss, learn
from millis.errors import MillisError

SMALL = Learning(size=8, hidden=8, history=3, negatives=16, epochs=12, patience=12, lr=0.02)


@pytest.fixture(scope="module")
def chain():
    """Items on a ring, each followed by the next one; item 11 is never taken, and its text is nearly that of 10."""
    texts = np.eye(12, dtype=np.float32)
    texts[11] = texts[10]
    walks = [tuple((start + step) % 11 for step in range(6)) for start in range(11)] * 6
    return texts, Histories([one[:-1] for one in walks], [Asked(one[:-1], one[-1]) for one in walks], [])


@pytest.fixture(scope="module")
def learned(chain):
    return learn(*chain, SMALL, seed=0)


def test_what_follows_is_learned(chain, learned):
    places = places_of(learned.tower, learned.vectors, learned.popularity, chain[1].validation)
    assert np.mean(places < 2) > 0.9
    assert learned.quality > 60
    assert recall(places).all()


def test_it_is_the_same_again(chain, learned):
    again = learn(*chain, SMALL, seed=0)
    np.testing.assert_array_equal(again.vectors, learned.vectors)


def test_an_item_that_nobody_took_has_the_vector_of_its_text(chain, learned):
    np.testing.assert_allclose(learned.vectors[11], learned.tower.items(chain[0][11]), rtol=1e-5, atol=1e-6)
    nearest = np.argsort(learned.vectors @ learned.vectors[11])[::-1]
    assert 10 in nearest[:2]


def test_every_place_but_the_first_is_taken_once(chain):
    rows = [row for before, right in _batches([(1, 2, 3, 4, 5), (7,)], SMALL, np.random.default_rng(0))
            for row in zip(before.tolist(), right.tolist(), strict=True)]  # fmt: skip
    assert sorted(rows, key=lambda row: row[1]) == [
        ([1, -1, -1], 2), ([2, 1, -1], 3), ([3, 2, 1], 4), ([4, 3, 2], 5)
    ]  # fmt: skip


@pytest.mark.parametrize("correct", [True, False])
def test_the_loss_is_that_of_the_formula(correct):
    """Two places, no random items: each is picked among both, the frequencies' logarithms taken off."""
    torch.manual_seed(0)
    towers = Towers(np.eye(4, dtype=np.float32), Learning(size=4, hidden=1, history=2))
    torch.nn.init.normal_(towers.popularity)
    learning = Learning(size=4, hidden=1, history=2, negatives=0, left_out=0.0, correct=correct)
    frequencies = torch.tensor([0.1, 0.2, 0.3, 0.4])
    before, right = np.array([[0, -1], [1, 0]]), np.array([2, 3])
    loss = _loss(towers, (before, right), frequencies, learning, np.random.default_rng(0))
    with torch.no_grad():
        vectors = towers.items(torch.arange(4)).numpy()
        tower = towers.tower(0.0)
        popularity = towers.popularity.numpy()
    expected = []
    for history, own in (([0], 0), ([0, 1], 1)):
        scores = tower.user(vectors[history]) @ vectors[right].T + popularity[right]
        scores = scores - np.log(2 * frequencies.numpy()[right]) * correct
        expected.append(np.log(np.exp(scores).sum()) - scores[own])
    assert loss.item() == pytest.approx(np.mean(expected), rel=1e-4)


def test_items_of_the_history_are_no_wrong_answers():
    """The second place's right answer was in the first one's history: it is no candidate there, so nothing is left."""
    towers = Towers(np.eye(3, dtype=np.float32), Learning(size=3, hidden=1, history=1))
    learning = Learning(size=3, hidden=1, history=1, negatives=0, left_out=0.0)
    rows = (np.array([[0], [2]]), np.array([1, 0]))
    first = (np.array([[0]]), np.array([1]))
    frequencies = torch.full((3,), 1 / 3)
    both, alone = (_loss(towers, one, frequencies, learning, np.random.default_rng(0)) for one in (rows, first))
    assert alone.item() == pytest.approx(0, abs=1e-6)  # it alone was offered
    second = (towers.users(towers.items(torch.tensor([[2]])), torch.tensor([[True]]))
              @ towers.items(torch.tensor([1, 0])).T + towers.popularity[[1, 0]]).detach()[0]  # fmt: skip
    assert both.item() == pytest.approx((second.logsumexp(0) - second[1]).item() / 2, rel=1e-4)


@pytest.mark.parametrize(("change", "message"), [
    ({"size": 0}, "size, hidden, history, epochs and patience are at least 1"),
    ({"negatives": -1}, "negatives at least 0"),
    ({"left_out": 1.0}, "left_out is from 0 to below 1"),
    ({"lr": 0.0}, "lr above 0"),
])  # fmt: skip
def test_numbers_that_cannot_be_are_refused(change, message):
    with pytest.raises(MillisError, match=message):
        Learning(**change)
