"""Sizes of elastic weights, of a teacher; and what cannot be."""

import pytest
from causal import writer
from shaped import transformer

from millis.distillation.hidden import Hidden
from millis.distillation.objective import Distillation
from millis.distillation.stages import TwoStage
from millis.elastic.policy.uniform import Uniform
from millis.elastic.recipe import Elastic
from millis.elastic.setting import Axes
from millis.errors import MillisError

BERT = transformer("bert", heads=(4,) * 4, ffn=(48,) * 4).spec


def test_sizes_are_counts_shares_or_the_teachers_own():
    assert Elastic(Uniform()).axes(BERT) == Axes((1, 2, 3, 4), (32,), (4,), (48,), 8)
    some = Elastic(Uniform(), layers=[3, 0.25], hidden_size=[0.5, None], heads=[1.0, 2], ffn_size=[0.5, 24, 48])
    assert some.axes(BERT) == Axes((1, 3), (16, 32), (2, 4), (24, 48), 8)


def test_heads_that_share_a_key_and_a_value_are_kept_together():
    spec = writer("qwen2").spec  # 4 heads, 2 of which share
    assert Elastic(Uniform(), heads=[0.5, 1.0]).axes(spec).heads == (2, 4)
    with pytest.raises(MillisError, match="2 heads each share a key and a value; expected a multiple of 2"):
        Elastic(Uniform(), heads=[3]).axes(spec)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"layers": []}, r"^student\.elastic\.layers=\[\]: expected sizes, or null$"),
        ({"heads": [1.5]}, r"^student\.elastic\.heads=1\.5 is no size"),
        ({"sampled": -1}, r"^student\.elastic\.sampled=-1: expected 0 \(none between\) or more; 2 is usual$"),
        ({"from_largest": 1.5}, r"^student\.elastic\.from_largest=1\.5: expected 0 \(teacher and labels only\) to 1"),
        ({"samples": 0}, r"^student\.elastic\.samples=0: expected at least 1 training text; some 2,000 are usual$"),
    ],
)
def test_what_cannot_be_is_refused(values, message):
    with pytest.raises(MillisError, match=message):
        Elastic(Uniform(), **values)


@pytest.mark.parametrize(
    ("values", "spec", "message"),
    [
        ({"layers": [2, 5]}, BERT, r"^student\.elastic\.layers has 5: the teacher has 4, expected at most that$"),
        ({"layers": [4]}, BERT, "^student.elastic has one size alone: expected several, or student=transformer$"),
        (
            {}, transformer("bert", heads=(4, 2), ffn=(48, 20)).spec,
            "^student=elastic needs a teacher whose layers are alike, and this one's have 2 to 4 heads and 20 to 48 ne",
        ),
    ],
)  # fmt: skip
def test_what_a_teacher_cannot_give_is_refused(values, spec, message):
    with pytest.raises(MillisError, match=message):
        Elastic(Uniform(), **values).axes(spec)


def test_the_stage_that_trains_answers_trains_those_of_all_sizes():
    method = TwoStage(terms={"hidden": Hidden(1.0, "mse", "uniform")})
    first, last = Elastic(Uniform()).stages(method.stages(), BERT, seed=5)
    assert first == method.stages()[0]
    assert (last.name, last.distillation.seed, last.distillation.needs_logits) == ("answers", 5, True)
    assert not Elastic(Uniform()).stages(Distillation(alpha=0.0).stages(), BERT, 0)[0].distillation.needs_logits


def test_what_there_is_to_choose_from():
    assert Elastic(Uniform(), layers=[1, 3], heads=[0.5, 1.0]).describe(BERT) == "1-3 layers, 2-4 heads"
