"""Teacher search: which ways are tried for how long, and which wins, with trainings made up."""

import pytest
from recipes import tuning

from millis.errors import MillisError
from millis.pipeline.teacher_search import TeacherSearch
from millis.training.fit import Fit, Fitted
from millis.training.length import Length
from millis.training.optim import AdamW

LENGTH = Length(steps=400, least=2, most=10)


def asked(max_epochs=LENGTH, search=None):
    optimizer = AdamW(0.1, 0.1, freeze_embeddings=True)
    return tuning(optimizer=optimizer, trainer=Fit(max_epochs, accelerator="cpu"), search=search)


class Trainings:
    """Makes up how trainings go: `quality(lr, frozen, steps)`; each takes `seconds`."""

    def __init__(self, quality, seconds=10.0):
        self.quality, self.seconds, self.seen = quality, seconds, []

    def __call__(self, way):
        assert way.search is None
        length = way.trainer.max_epochs
        steps = length if isinstance(length, int) else length.steps
        way = (round(way.optimizer.lr, 6), way.optimizer.freeze_embeddings, steps)
        self.seen.append(way)
        return Fitted(self.quality(*way), 3, self.seconds, [])


def test_the_best_two_first_looks_are_trained_and_the_better_of_them_wins():
    # At first sight 0.05 is ahead of 0.1; trained to the end it is behind.
    scores = {(0.05, True, 120): 90.0, (0.1, True, 120): 89.0, (0.05, True, 400): 91.0, (0.1, True, 400): 92.0}
    trainings = Trainings(lambda *way: scores.get(way, 50.0))
    search = TeacherSearch()
    best = search(asked(search=search), trainings)
    assert len(trainings.seen) == 6 + 2
    assert trainings.seen[0] == (0.1, True, 120)
    assert trainings.seen[-2:] == [(0.05, True, 400), (0.1, True, 400)]
    assert best == asked()


def test_of_equals_the_configured_way_wins():
    assert TeacherSearch()(asked(), Trainings(lambda *_: 80.0)) == asked()


def test_a_budget_leaves_ways_out_but_never_the_configured_one():
    trainings = Trainings(lambda *_: 80.0, seconds=100.0)
    TeacherSearch(budget_s=400)(asked(), trainings)
    # 200 s for first looks: two. Of the 200 s that are left, each finalist takes 100.
    assert [steps for *_, steps in trainings.seen] == [120, 120, 400, 400]
    trainings.seen.clear()
    TeacherSearch(budget_s=1)(asked(), trainings)
    assert trainings.seen == [(0.1, True, 120), (0.1, True, 400)]


def test_a_fixed_number_of_epochs_is_shared_too():
    trainings = Trainings(lambda *_: 80.0)
    TeacherSearch(rates=[1.0], freeze_embeddings=[True], share=0.5)(asked(max_epochs=5), trainings)
    assert [epochs for *_, epochs in trainings.seen] == [2, 5]


@pytest.mark.parametrize("wrong", [{"rates": []}, {"rates": [0.0]}, {"share": 0}, {"finalists": 0}, {"budget_s": 0}])
def test_searches_without_sense(wrong):
    with pytest.raises(MillisError, match=r"teacher\.search"):
        TeacherSearch(**wrong)
