"""Two stages: what each is, and how many epochs it gets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millis.distillation.contract import Stage
from millis.distillation.features import FeaturesOnly
from millis.distillation.hidden import Hidden
from millis.distillation.logit_distillation import LogitDistillation
from millis.distillation.stages import TwoStage, split_epochs
from millis.errors import MillisError

TERMS = {"states": Hidden(1.0, "mse", "uniform")}


def test_features_first_then_answers():
    method = TwoStage(
        alpha=0.9, temperature=3.0, label_smoothing=0.1, balanced=True, cache=False, logit_loss="reverse_kl",
        terms=TERMS, cache_budget_mb=5.0, features_share=0.75,
    )  # fmt: skip
    assert list(method.stages()) == [
        ("features", 0.75, FeaturesOnly(TERMS, cache=False, cache_budget_mb=5.0), None),
        (
            "answers", 0.25,
            LogitDistillation(
                alpha=0.9, temperature=3.0, label_smoothing=0.1, balanced=True, cache=False, logit_loss="reverse_kl"
            ),
            None,
        ),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("share", "epochs", "expected"),
    [(0.87, 23, [20, 3]), (0.5, 5, [2, 3]), (0.9, 2, [1, 1]), (0.99, 10, [9, 1]), (0.01, 10, [1, 9])],
)
def test_epochs_by_hand(share, epochs, expected):
    assert split_epochs(TwoStage(terms=TERMS, features_share=share).stages(), epochs) == expected


@given(st.lists(st.floats(0.05, 1), min_size=1, max_size=4), st.integers(0, 40))
def test_every_stage_has_an_epoch_and_none_is_lost(shares, more):
    stages = [Stage(str(index), share / sum(shares), None) for index, share in enumerate(shares)]
    counts = split_epochs(stages, len(stages) + more)
    assert sum(counts) == len(stages) + more
    assert min(counts) >= 1
    assert split_epochs(stages[:1], 7) == [7]


def test_too_few_epochs():
    with pytest.raises(MillisError) as error:
        split_epochs(TwoStage(terms=TERMS).stages(), 1)
    assert str(error.value) == (
        "trainer.max_epochs=1 is too few for 2 stages (features, answers): expected at least 2, or a distillation of "
        "one stage"
    )


@pytest.mark.parametrize("share", [0.0, 1.0, -0.5])
def test_a_share_that_leaves_a_stage_out(share):
    with pytest.raises(MillisError) as error:
        TwoStage(terms=TERMS, features_share=share)
    assert str(error.value) == (
        f"distillation.features_share={share}: expected between 0 and 1, both excluded; for one stage take "
        "millis.distillation.features.FeatureDistillation"
    )
