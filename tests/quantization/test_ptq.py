import numpy as np
import pytest
import torch
from torch import nn

from millis.backends.onnx.arithmetic import arithmetic
from millis.errors import MillisError
from millis.quantization.ptq import prepare
from millis.quantization.spec import Calibration, Fallback, Quantization
from millis.types import Features

IDS = np.array([[1, 2, 0], [3, 0, 0]])
TEXTS = [Features(IDS, (IDS > 0).astype(np.int64), None)]  # two texts, padded


def prepared_with(model, quantization, texts):
    return prepare(model, quantization, arithmetic(quantization), texts)


@pytest.fixture
def model(bag):
    return bag().eval()


def test_dynamic_int8_needs_nothing_and_changes_nothing(model):
    prepared = prepared_with(model, Quantization(), [])
    assert prepared == (model, (), [], (), ())
    assert prepared.model is model


def test_texts_are_required_where_ranges_are_found_from_them(model):
    for values in ({"activations": "static"}, {"smooth": 0.5}, {"fallback": Fallback()}):
        with pytest.raises(MillisError, match=r"calibration got 0 batches and no text .* Pass training texts"):
            prepared_with(model, Quantization(calibration=Calibration(), **values), [])


def test_layers_kept_by_name_are_told(model):
    prepared = prepared_with(model, Quantization(keep=("embedding",)), [])
    assert (prepared.kept, prepared.notes) == (("embedding",), ("kept in fp32 by name: embedding",))


def test_layers_kept_by_measurement_are_told_with_their_cost(model):
    quantization = Quantization(calibration=Calibration(), fallback=Fallback(damage=0.0, layers=1))
    prepared = prepared_with(model, quantization, TEXTS)
    assert prepared.kept == ("head",)
    (note,) = prepared.notes
    assert note.startswith("kept in fp32 by measurement: head (") and note.endswith("→ 0 nats on 2 texts")
    generous = Quantization(calibration=Calibration(), fallback=Fallback(damage=9.0))
    assert prepared_with(model, generous, TEXTS).notes[0].startswith("no layer had to stay fp32: KL ")


def test_a_layer_kept_by_name_is_not_chosen_again(model):
    quantization = Quantization(calibration=Calibration(), keep=("head",), fallback=Fallback(damage=0.0, layers=1))
    assert prepared_with(model, quantization, TEXTS).kept == ("head",)


def test_smoothing_leaves_the_model_and_says_how_much_it_did(model):
    with torch.no_grad():
        model.embedding.weight[:, 0] *= 50
    weight = model.head.weight.clone()
    prepared = prepared_with(model, Quantization(calibration=Calibration(), smooth=0.5), TEXTS)
    assert isinstance(prepared.model, nn.Module) and prepared.model is not model
    assert torch.equal(model.head.weight, weight)
    assert prepared.notes[0].startswith("smoothed 1 of 1 activations (α = 0.5)")
    assert [request.ids.tolist() for request in prepared.requests] == [[[1, 2]], [[3]]]
