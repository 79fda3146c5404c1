"""What a sweep does in its time, with a made-up teacher of six layers whose epoch takes 12 s."""

from types import SimpleNamespace

import numpy as np
import pytest
from recipes import recipe
from sides import spec_of
from specs import changed, transformer

from millis.data.dataset import Split
from millis.elastic.policy.even_work import EvenWork
from millis.elastic.recipe import Elastic
from millis.elastic.student import ElasticStudent
from millis.errors import MillisError
from millis.models.bilstm import BiLstmStudent
from millis.models.convolution import ConvolutionStudent
from millis.models.encoder_decoder_student import EncoderDecoderStudent
from millis.models.ngram_student import NgramStudent
from millis.models.static import StaticStudent
from millis.models.student import TransformerStudent
from millis.pipeline.forecast import planned, training_s
from millis.pipeline.study import Study
from millis.sweep.rungs import Rungs
from millis.training.fit import Fit, Fitted
from millis.training.optim import AdamW

FIVE_EPOCHS = Fit(5, accelerator="cpu")


def taught(spec, text):
    """A teacher of 320 texts of ten tokens."""
    return SimpleNamespace(
        fingerprint="t",
        fitted=Fitted(90.0, 2, 24.0, []),
        manifest=SimpleNamespace(spec=spec),
        inputs=SimpleNamespace(dataset=SimpleNamespace(train=Split([text] * 320, [0] * 320))),
        encoded=lambda split: SimpleNamespace(offsets=np.arange(321) * 10),
    )


@pytest.fixture
def teacher():
    return taught(transformer([12] * 6), "a")


def alone(layers):
    made = recipe(student=TransformerStudent(layers=layers), trainer=FIVE_EPOCHS)
    return {"student": "transformer", "student.layers": layers, "student.heads": 1.0}, made


NGRAMS = ({"student": "ngrams", "quantization": "dynamic", "distillation.alpha": 0.7}, recipe(student=NgramStudent()))
RECIPES = [NGRAMS, alone(2), alone(3), alone(1), ({"student": "no recipe"}, None)]


def study(minimum, timeout_s, n_trials=10, rungs=None):
    return Study("made up", {}, n_trials, minimum, timeout_s, rungs=rungs)


def told(study, teacher, recipes=RECIPES):
    agenda, words = planned(study, teacher, recipes)
    return [*agenda.recipes], agenda.n_trials, words.splitlines()


def test_what_fits_is_planned_with_its_time_and_what_does_not_is_left_out(teacher):
    # Five epochs of 12 s, of which two layers take a third, three a half, one a sixth: 20, 30 and 10 s, 12 on average.
    recipes, trials, lines = told(study(minimum=1, timeout_s=35), teacher)
    assert [one.get("student.layers") for one in recipes] == [None, 2, 1, None]
    assert trials == 4  # 5 s are left, and a further one takes 12
    assert lines == [
        "plan: trainings of about 30 s",
        "  ngrams quantization=dynamic (always)",
        "  transformer layers=2, about 20 s",
        "  transformer layers=1, about 10 s",
        "  no recipe",
        "  left out of study.timeout_s=35: transformer layers=3, about 30 s",
    ]


def test_as_many_are_drawn_as_fit(teacher):
    _, trials, lines = told(study(minimum=0, timeout_s=100), teacher)
    assert trials == 5 + 3  # 40 s are left
    assert lines[-1] == "  then 3 that are drawn, about 12 s each within study.timeout_s=100"
    assert told(study(minimum=0, timeout_s=100, n_trials=6), teacher)[1] == 6


def test_as_many_are_drawn_as_fit_if_all_are_ended_at_the_first_rung(teacher):
    quarter = study(minimum=0, timeout_s=70, n_trials=99, rungs=Rungs((0.25, 1.0)))
    _, trials, lines = told(quarter, teacher)
    assert trials == 5 + 3  # 10 s are left, and a quarter of 12 s is 3
    assert lines[-1] == (
        "  then up to 3 that are drawn within study.timeout_s=70, about 12 s each, less where a rung ends them"
    )


def test_the_minimum_is_planned_whatever_it_takes(teacher):
    recipes, trials, lines = told(study(minimum=3, timeout_s=1), teacher)
    assert len(recipes) == 4 and trials == 4  # what takes nothing fits
    assert lines[3] == "  transformer layers=3, about 30 s (always)"
    assert lines[-1] == "  left out of study.timeout_s=1: transformer layers=1, about 10 s"


def test_what_the_teacher_has_not_is_left_to_its_trial(teacher):
    assert told(study(minimum=0, timeout_s=1), teacher, [alone(9)])[2] == [
        "plan: trainings of seconds",
        "  transformer layers=9",
        "  then 9 that are drawn within study.timeout_s=1",
    ]
    with pytest.raises(MillisError, match=r"larger than the teacher's 6"):
        training_s(alone(9)[1], teacher, set())


def test_without_a_limit_everything_is_done(teacher):
    recipes, trials, lines = told(study(minimum=0, timeout_s=None, n_trials=9), teacher)
    assert len(recipes) == 5 and trials == 9
    assert lines[-1] == "  then 4 that are drawn, about 12 s each"
    assert len(told(study(minimum=0, timeout_s=None, n_trials=2), teacher)[0]) == 2


def test_what_was_begun_before_takes_no_time_of_a_study_that_is_resumed(teacher):
    """Four of ten trials were begun: they count, and so do the first of those that are always run."""
    agenda, words = planned(study(minimum=5, timeout_s=35), teacher, [alone(2), alone(1), alone(3)], begun=4)
    assert [one["student.layers"] for one in agenda.recipes] == [2, 1] and agenda.n_trials == 6
    assert words.splitlines()[:3] == [
        "plan, after 4 trials: trainings of about 30 s",
        "  transformer layers=2, about 20 s (always)",
        "  transformer layers=1, about 10 s",
    ]
    more, _ = planned(study(minimum=4, timeout_s=35, n_trials=12), teacher, [], begun=10)
    assert more == ([], 12)
    none, _ = planned(study(minimum=4, timeout_s=35), teacher, [alone(2)], begun=11)
    assert none == ([], 11)


def test_elastic_weights_of_a_recipe_that_was_begun_before_lie_trained(teacher):
    first, second = (
        recipe(student=ElasticStudent(Elastic(EvenWork()), layers=layers), trainer=FIVE_EPOCHS) for layers in (1, 6)
    )
    asked = [({"a": 1}, first)]
    assert planned(study(minimum=0, timeout_s=35), teacher, asked)[0].recipes == []
    assert planned(study(minimum=0, timeout_s=35), teacher, asked, 1, [None, second])[0].recipes == [{"a": 1}]


def test_elastic_weights_are_trained_once(teacher):
    """The largest has the teacher's six layers, the smallest one, and two of one to six are drawn in each step."""
    elastic = Elastic(EvenWork())
    students = [ElasticStudent(elastic, layers=layers) for layers in (1, 6)]
    first, second = (recipe(student=student, trainer=FIVE_EPOCHS) for student in students)
    axes = elastic.axes(teacher.manifest.spec)
    one, trained = axes.work(axes.smallest), set()
    assert axes.work(axes.largest) == 6 * one
    seconds = training_s(first, teacher, trained)
    assert 60 * (6 + 1 + 2 * 1) / 6 < seconds < 60 * (6 + 1 + 2 * 6) / 6
    _, _, lines = told(study(minimum=0, timeout_s=None, n_trials=2), teacher, [({"a": 1}, first), ({"a": 2}, second)])
    assert lines[1:] == [f"  a=1, about {seconds:.0f} s", "  a=2"]
    tuned = recipe(student=ElasticStudent(elastic, layers=3, tune_epochs=4), trainer=FIVE_EPOCHS)
    assert training_s(tuned, teacher, trained) == pytest.approx(seconds + 4 * 12 / 2)
    short = recipe(student=students[0], trainer=Fit(5, accelerator="cpu", budget_s=50.0))
    assert training_s(short, teacher, trained) == 50


# Of the teacher above: six layers of 4 * 16 * 96 + 2 * 16 * 32 = 7,168 numbers and a head of 2 * 16, thus 43,040 in
# matrices that 3,200 tokens go through; in each of 10 steps these are updated, and in each layer 3 * 96 + 16 biases of
# heads, 32 + 16 of neurons and 4 * 16 of norms, 32 of the tables' norm and 2 of the head: 45,570.
STEPS = 10 * 5e7  # what ten steps take beside
TEACHERS = 3200 * 43_040 + 50 * 10 * 45_570 + STEPS
OTHERS = [
    # Windows of 1, 3 and 5 vectors of 4 numbers with 128 filters each, a head of 384 * 2; biases 3 * 128 + 2; 12 * 4
    # in the table.
    (ConvolutionStudent(), 3200 * (9 * 4 * 128 + 768) + 500 * (9 * 4 * 128 + 768 + 386 + 48)),
    # Twice four gates of 8 numbers that read 4 and 8, a head of 16 * 2; two biases of 32 each way, 2 of the head.
    (BiLstmStudent(hidden_size=8), 3200 * (2 * 32 * 12 + 32) + 500 * (2 * 32 * 12 + 32 + 128 + 2 + 48)),
    # A head of 8 * 2 and its biases, a table of 12 rows of 8 numbers and a weight.
    (StaticStudent(), 3200 * 16 + 500 * (16 + 2 + 12 * 9)),
]


@pytest.mark.parametrize(("student", "cost"), OTHERS, ids=["convolution", "bilstm", "static"])
def test_students_of_other_families_take_what_their_steps_cost(student, cost, teacher):
    asked = recipe(student=student, trainer=FIVE_EPOCHS)
    assert training_s(asked, teacher, set()) == pytest.approx(60 * (cost + STEPS) / TEACHERS)
    frozen = recipe(student=student, trainer=FIVE_EPOCHS, optimizer=AdamW(1e-3, 1e-3, freeze_embeddings=True))
    assert 0 < training_s(frozen, teacher, set()) < training_s(asked, teacher, set())


def test_ngrams_take_as_long_as_their_texts_have_characters_and_classes():
    """320 texts of 100 characters in two classes."""
    seconds = training_s(NGRAMS[1], taught(transformer([12] * 6), "a" * 100), set())
    assert seconds == pytest.approx(12 * 1000 * 4.3 * 32_000 * 2 / TEACHERS)
    pairs = training_s(NGRAMS[1], taught(transformer([12] * 6), ("a" * 60, "b" * 40)), set())
    assert pairs == seconds


def test_encoder_decoders_take_what_their_steps_cost():
    whole = taught(spec_of("bart"), "a")
    whole.encoded = lambda split: SimpleNamespace(offsets=[10**9])  # so many tokens that nothing else counts
    asked = recipe(student=EncoderDecoderStudent(1, 1), trainer=FIVE_EPOCHS)
    # 3 + 2 layers against 1 + 1, an encoder's 24 * 24 * 4 + 2 * 24 * 40, a decoder's as much and 24 * 24 * 4 again; and
    # the matrix over the vocabulary.
    encoder, decoder, last = 4 * 576 + 1920, 8 * 576 + 1920, 48 * 24
    ours, theirs = (layers * encoder + other * decoder + last for layers, other in ((1, 1), (3, 2)))
    assert training_s(asked, whole, set()) == pytest.approx(60 * ours / theirs, rel=1e-3)


def test_students_of_other_families_under_a_teacher_of_unknown_parts(teacher):
    known = training_s(recipe(student=ConvolutionStudent(), trainer=FIVE_EPOCHS), teacher, set())
    teacher.manifest.spec = changed(teacher.manifest.spec, shape=None)
    assert 0 < training_s(recipe(student=ConvolutionStudent(), trainer=FIVE_EPOCHS), teacher, set()) != known


def test_elastic_weights_under_a_teacher_of_unknown_parts_take_nothing():
    unknown = taught(spec_of("bart"), "a")
    elastic = recipe(student=ElasticStudent(Elastic(EvenWork()), layers=1), trainer=FIVE_EPOCHS)
    agenda, words = planned(study(minimum=0, timeout_s=1), unknown, [({"a": 1}, elastic)])
    assert agenda.recipes == [{"a": 1}] and words.splitlines()[1] == "  a=1"
