import pytest
from specs import transformer

from millis.early_exit.saving import depths, exit_metrics, measured_saving

SPEC = transformer([2] * 6, exits=[1, 3])


def test_depths_count_layers():
    assert depths(SPEC) == [2, 4, 6]


def test_what_a_record_says_by_hand():
    # Two texts leave after 2 layers, one after 4, one runs all 6: 14 of 24 layers.
    assert exit_metrics(SPEC, [1, 1, 2, 3]) == pytest.approx(
        {
            "exit_layer_mean": 3.5,
            "exit_after_2_layers_share": 0.5,
            "exit_after_4_layers_share": 0.25,
            "exit_after_6_layers_share": 0.25,
            "expected_saving_share": 10 / 24,
        }
    )


def test_the_measured_saving_is_of_means_within_a_round():
    # Rounds of ratio (1 + 3) / (4 + 4) = 0.5, 0.75 and, interrupted, 50 / 8.
    assert measured_saving([[1, 3], [2, 4], [48, 2]], [[4, 4], [4, 4], [4, 4]]) == pytest.approx(0.25)
