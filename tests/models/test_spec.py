"""Specs are read from JSON, checked, and written as they were read."""

import json
from dataclasses import FrozenInstanceError, replace

import pytest
import rounded
from specs import changed, static, transformer

from millis import models
from millis.errors import MillisError
from millis.models.spec import Shape, spec_of
from millis.models.transformer_spec import known
from millis.types import Output

TWO = [["intent", "text", 3, "one"], ["tags", "token", 4, "one"]]
FULL = {
    "family": "transformer", "encoder": {"model_type": "bert", "layer_norm_eps": 1e-12, "pad_token_id": None},
    "shape": {"head_size": 8, "heads": [2, 0], "ffn": [32, 0]}, "affixes": [[2], [3, 1]], "pooling": "cls",
    "dropout": 0, "pooler": "tanh", "ranks": {"head": 2}, "exits": [0], "tokens": [1], "num_labels": 3,
}  # fmt: skip
LEFT_OUT = ("shape", "affixes", "pooler", "ranks", "exits", "tokens")
SPECS = {
    "everything": FULL,
    "the least": {name: value for name, value in FULL.items() if name not in LEFT_OUT},
    "two outputs": {name: value for name, value in FULL.items() if name != "num_labels"} | {"outputs": TWO},
    "static": {"family": "static", "vocab_size": 9, "size": 4, "dropout": 0.1, "num_labels": 2},
    "a length": {"family": "static", "vocab_size": 9, "size": 4, "norm": "l2", "dropout": 0.0, "num_labels": 2},
    **{kind: rounded.spec(kind).to_json() for kind in rounded.KINDS},
}


@pytest.mark.parametrize("said", SPECS.values(), ids=SPECS)
def test_what_is_read_is_written_again(said):
    text = json.dumps(said, sort_keys=True)
    assert json.dumps(models.read(json.loads(text)).to_json(), sort_keys=True) == text  # 0 is not 0.0


def test_what_is_absent_has_its_usual_value():
    spec = models.read(SPECS["the least"])
    assert (spec.shape, spec.affixes, spec.around, spec.pooler) == (None, None, ((), ()), None)
    assert (spec.ranks, spec.exits, spec.tokens, spec.outputs) == ({}, (), (), (Output("logits", "text", 3),))
    assert models.read({**SPECS["the least"], "exits": None, "shape": None, "colour": "green"}) == spec
    assert models.read(SPECS["static"]).norm == "mean"


def test_a_spec_does_not_change():
    with pytest.raises(FrozenInstanceError):
        static().size = 3


@pytest.mark.parametrize("kind", rounded.FAMILIES)
def test_what_has_no_layers_says_so(kind):
    spec = rounded.spec(kind)
    assert (spec.kind, spec.shape, spec.exits, spec.tokens) == (kind, None, (), ())
    assert (spec.attention_width, spec.rows, spec.is_dynamic, spec.whole()) == (0, rounded.VOCABULARY, False, spec)
    assert known(spec) is None and known(rounded.spec("albert")) is None
    assert spec_of(models.build(spec)) == spec and spec_of(3) is None and spec.around == ((), ())


def test_what_a_transformer_is_asked_for():
    spec = transformer([2, 0, 1], exits=[0])
    assert (spec.kind, spec.layers, spec.rows, spec.attention_width) == ("bert", 3, 12, 3 * 8)
    assert changed(spec, shape=None).attention_width == 3 * 16
    assert spec.is_dynamic and replace(spec, exits=(), tokens=(1,)).is_dynamic
    assert not spec.whole().is_dynamic and replace(spec.whole(), exits=(0,)) == spec
    assert known(spec) is spec and spec.known_shape == Shape(8, (2, 0, 1), (32, 32, 32))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shape": {"heads": [2]}}, "object missing required field head_size in spec.shape"),
        ({"shape": {"head_size": 8, "heads": [2], "ffn": [-1]}}, r"spec\.shape\.ffn\[0\] is -1: expected int >= 0"),
        ({"encoder": None}, "object missing required field encoder in spec"),
        ({"exits": ["0"]}, r"spec\.exits\[0\] is '0': expected int, got str"),
        ({"affixes": [[2]]}, r"spec\.affixes is \[\[2\]\]: expected array of length 2, got 1"),
        ({"ranks": {"head": "x"}}, r"spec\.ranks\['head'\] is 'x': expected int, got str"),
        ({"num_labels": None}, "spec has neither num_labels nor outputs: what the model gives is not known"),
        ({"num_labels": 2.5}, r"spec\.num_labels is 2\.5: expected int"),
        ({"outputs": [["a", "word", 2, "one"]]}, r"spec\.outputs\[0\]\[1\] is 'word': invalid enum value"),
        (
            {"family": "transfomer"},
            "model family 'transfomer' is unknown; expected one of .*did you mean 'transformer'",
        ),
    ],
)
def test_what_cannot_be_is_refused_where_it_is_read(changes, message):
    said = {name: value for name, value in {**FULL, **changes}.items() if value is not None}
    with pytest.raises(MillisError, match=message):
        models.read(said, "spec")
