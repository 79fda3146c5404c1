"""Which run a training and an outcome are kept in, with a tracker that is made up."""

from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from millis.pipeline.tracker import TEACHER, TRIAL, NoTracker, Tracked, tracked, trial


class Tracker:
    """Keeps what is opened and closed, in order."""

    def __init__(self, in_wandb=True):
        self.in_wandb, self.seen, self.said = in_wandb, [], []

    @contextmanager
    def opened(self, name, job_type, config):
        self.seen.append(f"{job_type} {name} {config}")
        run = SimpleNamespace(
            summarize=self.said.append,
            uses=lambda model: self.said.append(f"uses {model}"),
            made=lambda model: self.said.append(f"made {model}"),
        )
        try:
            yield Tracked("a logger", run if self.in_wandb else None)
        finally:
            self.seen.append(f"{name} ends")


@pytest.fixture
def tracker():
    return Tracker()


def test_a_students_training_is_in_the_run_of_its_recipe(tracker):
    with trial(tracker, "the recipe") as current:
        with tracked(tracker, "student", TRIAL, "its own") as kept:
            assert kept.logger == "a logger"
        current.end("outcome", {"accuracy": 90.0}, "teacher", "student")
        assert tracker.seen == ["trial student the recipe"], "it goes on until the recipe ends"
    assert tracker.seen == ["trial student the recipe", "student ends"]
    assert tracker.said == [{"accuracy": 90.0}, "uses teacher", "made student"]


def test_a_teachers_training_has_its_own_run_also_within_a_recipe(tracker):
    with trial(tracker, "the recipe"), tracked(tracker, "colleague", TEACHER, "tuning"):
        pass
    assert tracker.seen == ["teacher colleague tuning", "colleague ends"]


def test_a_student_outside_of_a_recipe_has_its_own_run(tracker):
    with trial(tracker, "the recipe"):
        pass
    with tracked(tracker, "student", TRIAL, "its own"):
        pass
    assert tracker.seen == ["trial student its own", "student ends"]


def test_an_outcome_opens_a_run_where_nothing_was_trained(tracker):
    with trial(tracker, "the recipe") as current:
        current.end("outcome", {}, "teacher", None)
    assert tracker.seen == ["trial outcome the recipe", "outcome ends"]
    assert tracker.said == [{}, "uses teacher"], "the teacher's own weights are deployed"


@pytest.mark.parametrize("tracker", [Tracker(in_wandb=False), NoTracker()])
def test_an_outcome_is_kept_in_wandb_only(tracker):
    with trial(tracker, "the recipe") as current:
        current.end("outcome", {}, "teacher", None)
    assert not getattr(tracker, "seen", [])


def test_a_run_ends_where_the_recipe_fails(tracker):
    with pytest.raises(InterruptedError), trial(tracker, "the recipe"), tracked(tracker, "student", TRIAL, ""):
        raise InterruptedError
    assert tracker.seen[-1] == "student ends"
