"""What a sweep says before it starts, with a made-up teacher of six layers whose epoch takes 12 s."""

from types import SimpleNamespace

import pytest
from specs import transformer

from millis.pipeline.forecast import forecast
from millis.pipeline.study import Study
from millis.sweep.space import Space
from millis.training.fit import Fit, Fitted

RECIPES = [
    {"student": "ngrams", "quantization": "dynamic", "distillation.alpha": 0.7},
    {"student": "transformer", "student.layers": 2, "student.heads": 1.0},
    {"student": "transformer", "student.layers": 3, "student.heads": 1.0},
    {"student": "transformer", "student.layers": 1, "student.heads": 1.0},
    {"student": "convolution"},
]
SPACE = Space.parse({"student": {"choice": ["ngrams", "transformer", "convolution"]}}, {})


@pytest.fixture
def teacher():
    return SimpleNamespace(
        fitted=Fitted(90.0, 2, 24.0, []),
        manifest=SimpleNamespace(spec=transformer([12] * 6)),
        inputs=SimpleNamespace(dataset=SimpleNamespace(train=range(320))),
    )


FIVE_EPOCHS = Fit(5, accelerator="cpu")


def study(minimum, timeout_s, n_trials=10):
    return Study("made up", {}, n_trials, minimum, timeout_s, RECIPES)


def test_what_fits_is_listed_with_its_time(teacher):
    # Five epochs of 12 s, of which two layers take a third and three a half: 20 and 30 s.
    assert forecast(study(minimum=1, timeout_s=25), FIVE_EPOCHS, teacher, SPACE).splitlines() == [
        "plan:",
        "  ngrams quantization=dynamic (always)",
        "  transformer layers=2, about 20 s",
        "  transformer layers=3, about 30 s",
        "  then up to 7 more while their trainings have taken less than 25 s",
    ]


def test_the_minimum_is_listed_whatever_it_takes(teacher):
    lines = forecast(study(minimum=3, timeout_s=1), FIVE_EPOCHS, teacher, SPACE).splitlines()
    assert lines[3] == "  transformer layers=3, about 30 s (always)"
    assert len(lines) == 5


def test_without_a_limit_everything_is_tried(teacher):
    lines = forecast(study(minimum=0, timeout_s=None, n_trials=5), FIVE_EPOCHS, teacher, SPACE).splitlines()
    assert lines[-2:] == ["  transformer layers=1, about 10 s", "  convolution"]


def test_what_is_not_searched_is_not_listed(teacher):
    space = Space.parse({"student": {"choice": ["convolution"]}}, {})
    assert forecast(study(minimum=1, timeout_s=None, n_trials=1), FIVE_EPOCHS, teacher, space).splitlines() == [
        "plan:",
        "  convolution (always)",
    ]
