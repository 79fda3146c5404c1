import pytest
from torch import nn

from millis.errors import MillisError
from millis.quantization.keep import finer, linears, matching, quantizable


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.query, self.norm, self.dense = nn.Linear(2, 2), nn.LayerNorm(2), nn.Linear(2, 2)


@pytest.fixture
def model():
    parts = {"words": nn.Embedding(3, 2), "blocks": nn.ModuleList([Layer(), Layer()]), "head": nn.Linear(2, 2)}
    return nn.ModuleDict(parts)


def test_what_has_stored_matrices_is_quantizable(model):
    names = [f"blocks.{i}.{name}" for i in (0, 1) for name in ("query", "dense")]
    assert list(quantizable(model)) == ["words", *names, "head"]
    assert list(linears(model)) == [*names, "head"]


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        ([], []),
        (["head"], ["head"]),
        (["*.query"], ["blocks.0.query", "blocks.1.query"]),
        (["blocks.1"], ["blocks.1.query", "blocks.1.dense"]),
        (["blocks.1.*", "head", "words"], ["words", "blocks.1.query", "blocks.1.dense", "head"]),
    ],
)
def test_a_pattern_describes_layers_and_what_holds_them(model, patterns, expected):
    assert list(matching(model, patterns)) == expected


def test_a_pattern_that_describes_nothing_is_told_the_nearest(model):
    message = (
        r"quantization.keep has 'blocks.0.querry', which describes none of the 6 layers of this model "
        r"\(did you mean 'blocks.0.query'\?\)\. Expected names such as words, blocks.1.dense, head"
    )
    with pytest.raises(MillisError, match=message):
        matching(model, ["head", "blocks.0.querry"])


def test_a_norm_is_no_layer_to_keep(model):
    with pytest.raises(MillisError, match=r"'\*.norm', which describes none"):
        matching(model, ["*.norm"])


def test_linear_layers_get_more_bits_by_the_same_patterns(model):
    assert finer(model, ["head", "*.query"]) == ("blocks.0.query", "blocks.1.query", "head")
    assert finer(model, []) == ()


def test_what_is_no_linear_layer_or_stays_fp32_gets_no_bits(model):
    with pytest.raises(MillisError) as error:
        finer(model, ["words"])
    assert str(error.value) == (
        "quantization.int8 has 'words', which describes none of the 5 linear layers of this model (did you mean "
        "'blocks'?). Expected names such as blocks.0.query, blocks.1.dense, head"
    ) or "describes none of the 5 linear layers" in str(error.value)
    with pytest.raises(MillisError) as error:
        finer(model, ["blocks.0"], kept=["blocks.0.dense"])
    assert str(error.value) == (
        "quantization.int8 describes blocks.0.dense, which quantization.keep leaves in fp32: expected each layer in "
        "one of them at most"
    )
