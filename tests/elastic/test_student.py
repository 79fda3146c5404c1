"""A student that is cut out: its sizes, its weights, and sizes outside of what was trained."""

import pytest
import torch
from shaped import transformer

from millis import models
from millis.elastic.policy.uniform import Uniform
from millis.elastic.recipe import Elastic
from millis.elastic.setting import Setting
from millis.elastic.slices import Slice
from millis.elastic.student import ElasticStudent
from millis.errors import MillisError
from millis.models.spec import Shape

TEACHER = transformer("bert", heads=(4,) * 4, ffn=(48,) * 4)
ELASTIC = Elastic(Uniform(), layers=[1, 2, 3], heads=[0.5, 1.0], ffn_size=[0.25, 1.0])


def test_a_size_that_is_not_said_is_the_largest_that_was_trained():
    assert ElasticStudent(ELASTIC).spec(TEACHER.spec).shape == Shape(8, (4,) * 3, (48,) * 3)
    assert ElasticStudent(ELASTIC, layers=0.5, heads=3, ffn_size=20).spec(TEACHER.spec).shape == Shape(
        8, (3, 3), (20, 20)
    )


def test_its_weights_are_those_that_the_elastic_weights_run_with_at_its_size():
    large = transformer("bert", heads=(4,) * 3, ffn=(48,) * 3)
    student = ElasticStudent(ELASTIC, layers=2, heads=2, ffn_size=20)
    small = models.build(student.spec(TEACHER.spec)).eval()
    student.initialise(small, large)
    given = {"input_ids": torch.tensor([[2, 5, 9]]), "attention_mask": torch.ones(1, 3, dtype=torch.long)}
    with torch.no_grad():
        torch.testing.assert_close(Slice(large, Setting(2, 32, 2, 20))(**given)[0], small(**given), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"layers": 4}, "student.layers=4 is 4, and the elastic weights are trained at 1 to 3: choose one of these, "
         "or train other sizes (student.elastic.layers)"),
        ({"heads": 0.25}, "student.heads=0.25 is 1, and the elastic weights are trained at 2 to 4"),
        ({"ffn_size": 8}, "student.ffn_size=8 is 8, and the elastic weights are trained at 12 to 48"),
        ({"hidden_size": 0.5}, "student.hidden_size=0.5 is 16, and the elastic weights are trained at 32: "),
    ],
)  # fmt: skip
def test_a_size_outside_of_the_trained_range_is_refused(sizes, message):
    with pytest.raises(MillisError) as error:
        ElasticStudent(ELASTIC, **sizes).spec(TEACHER.spec)
    assert str(error.value).startswith(message)


def test_another_architecture_is_refused():
    unknown = models.read({
        "family": "transformer", "encoder": {"model_type": "deberta-v2", "vocab_size": 9}, "pooling": "mean",
        "dropout": 0.0, "num_labels": 2,
    })  # fmt: skip
    with pytest.raises(MillisError, match=r"^millis cannot cut a 'deberta-v2' model"):
        ElasticStudent(ELASTIC).spec(unknown)


def test_epochs_below_none_are_refused():
    with pytest.raises(MillisError, match=r"^student\.tune_epochs=-1: expected 0 \(as it is cut out\) or more$"):
        ElasticStudent(ELASTIC, tune_epochs=-1)


def test_its_name_says_its_sizes_and_whether_it_was_tuned():
    tuned = ElasticStudent(ELASTIC, layers=2, heads=2, tune_epochs=3)
    assert tuned.describe(tuned.spec(TEACHER.spec)) == "elastic 2x32 h2 f48 tuned 3"
