"""Teacher search: which ways are tried for how long, and which wins, with trainings made up."""

import pytest
from omegaconf import OmegaConf

from millis.cli.pipeline.teacher_search import TeacherSearch
from millis.errors import MillisError
from millis.training.fit import Fitted


def config(max_epochs=None):
    length = {"steps": 400, "least": 2, "most": 10} if max_epochs is None else max_epochs
    return OmegaConf.create(
        {
            "teacher": {
                "search": {"any": 1},
                "optimizer": {"lr": 0.1, "freeze_embeddings": True},
                "trainer": {"max_epochs": length},
            }
        }
    )


class Trainings:
    """Makes up how trainings go: `quality(lr, frozen, steps)`; each takes `seconds`."""

    def __init__(self, quality, seconds=10.0):
        self.quality, self.seconds, self.seen = quality, seconds, []

    def __call__(self, cfg):
        teacher = cfg.teacher
        assert teacher.search is None
        steps = teacher.trainer.max_epochs if isinstance(teacher.trainer.max_epochs, int) else None
        steps = steps or teacher.trainer.max_epochs.steps
        way = (round(teacher.optimizer.lr, 6), teacher.optimizer.freeze_embeddings, steps)
        self.seen.append(way)
        return Fitted(self.quality(*way), 3, self.seconds, [])


def test_the_best_two_first_looks_are_trained_and_the_better_of_them_wins():
    # At first sight 0.05 is ahead of 0.1; trained to the end it is behind.
    scores = {(0.05, True, 120): 90.0, (0.1, True, 120): 89.0, (0.05, True, 400): 91.0, (0.1, True, 400): 92.0}
    trainings = Trainings(lambda *way: scores.get(way, 50.0))
    best = TeacherSearch()(config(), trainings)
    assert len(trainings.seen) == 6 + 2
    assert trainings.seen[0] == (0.1, True, 120)
    assert trainings.seen[-2:] == [(0.05, True, 400), (0.1, True, 400)]
    assert (best.teacher.optimizer.lr, best.teacher.optimizer.freeze_embeddings) == (0.1, True)
    assert best.teacher.trainer.max_epochs == {"steps": 400, "least": 2, "most": 10}


def test_of_equals_the_configured_way_wins():
    best = TeacherSearch()(config(), Trainings(lambda *_: 80.0))
    assert (best.teacher.optimizer.lr, best.teacher.optimizer.freeze_embeddings) == (0.1, True)


def test_a_budget_leaves_ways_out_but_never_the_configured_one():
    trainings = Trainings(lambda *_: 80.0, seconds=100.0)
    TeacherSearch(budget_s=400)(config(), trainings)
    # 200 s for first looks: two. Of the 200 s that are left, each finalist takes 100.
    assert [steps for *_, steps in trainings.seen] == [120, 120, 400, 400]
    trainings.seen.clear()
    TeacherSearch(budget_s=1)(config(), trainings)
    assert trainings.seen == [(0.1, True, 120), (0.1, True, 400)]


def test_a_fixed_number_of_epochs_is_shared_too():
    trainings = Trainings(lambda *_: 80.0)
    TeacherSearch(rates=[1.0], freeze_embeddings=[True], share=0.5)(config(max_epochs=5), trainings)
    assert [epochs for *_, epochs in trainings.seen] == [2, 5]


@pytest.mark.parametrize("wrong", [{"rates": []}, {"rates": [0.0]}, {"share": 0}, {"finalists": 0}, {"budget_s": 0}])
def test_searches_without_sense(wrong):
    with pytest.raises(MillisError, match=r"teacher\.search"):
        TeacherSearch(**wrong)
