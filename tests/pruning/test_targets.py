"""Regular expressions of layer names, and what is said of those that match nothing."""

import pytest

from millis.errors import MillisError
from millis.pruning.targets import selected

NAMES = [f"encoder.layer.{layer}.{part}" for layer in (0, 1) for part in ("attention.query", "output.dense")]


def test_expressions_are_searched_anywhere_and_keep_the_order():
    assert selected(None, NAMES) == NAMES
    assert selected("query$", NAMES) == [NAMES[0], NAMES[2]]
    assert selected([r"layer\.1\..*dense", "0.*query"], NAMES) == [NAMES[0], NAMES[3]]


def test_a_name_that_matches_nothing_is_told_the_nearest():
    with pytest.raises(MillisError) as caught:
        selected(["dense", "attention.qurey"], NAMES)
    assert str(caught.value) == (
        "pruning.targets='attention.qurey' matches none of the 4 prunable layers (did you mean 'attention.query'?). "
        "They are named like 'encoder.layer.0.attention.query', 'encoder.layer.0.output.dense'"
    )


def test_no_expression_is_told_so():
    with pytest.raises(MillisError) as caught:
        selected("layer.(0", NAMES)
    assert str(caught.value).startswith("pruning.targets='layer.(0' is no regular expression: missing )")
