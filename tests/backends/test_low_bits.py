"""GPTQ's integers, and layers of 8 bits among 4, as artifacts have them: what is decided is stored and computed."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
import rounded
from causal import TOKENIZER, speaker
from low_bits import FOUR, GPTQ, divergence, learned, texts
from onnx import numpy_helper
from shaped import eager, signature_of

from millis.backends import native, onnxruntime
from millis.backends.artifact import write_artifact
from millis.backends.eager import Eager
from millis.backends.native import Native
from millis.backends.onnxruntime import OnnxRuntime
from millis.backends.plan import file, library, steps
from millis.errors import MillisError
from millis.quantization.ptq import prepare
from millis.quantization.spec import Calibration, Gptq, Quantization
from millis.storage.manifest import Manifest

EIGHT = ("head",)
FORMS = {
    "dynamic": Quantization(reduce_range=False, gptq=Gptq(), calibration=Calibration()),
    "one scale": Quantization(reduce_range=False, per_channel=False, gptq=Gptq(), calibration=Calibration()),
    "7 bits": Quantization(reduce_range=True, gptq=Gptq(), calibration=Calibration()),
    "static": Quantization(activations="static", reduce_range=False, gptq=Gptq(), calibration=Calibration()),
    "8 bits in blocks": Quantization(activations="none", block_size=16, gptq=Gptq(), calibration=Calibration()),
    "4 bits": GPTQ,
    "8 among 4": replace(GPTQ, int8=("head", "encoder.layers.0.*.down_proj", "encoder.encoder.layer.0.*.query")),
}
BACKENDS = {"onnxruntime": (onnxruntime, OnnxRuntime()), "native": (native, Native())}
needs_native = pytest.mark.skipif(bool(library.missing()), reason="the compiled part is not built")
EVERY = [pytest.param("native", marks=needs_native), "onnxruntime"]


@pytest.fixture(scope="module")
def llama():
    return learned()


def form(name, model):
    """`FORMS`, with the patterns that describe layers of this model alone."""
    names = [".".join(layer.split(".")[:2]) for layer, _ in model.named_modules()]
    asked = FORMS[name]
    return replace(asked, int8=tuple(pattern for pattern in asked.int8 if ".".join(pattern.split(".")[:2]) in names))


def session(name, folder, model, quantization, calibration=()):
    """What a backend makes of a model, opened."""
    module, backend = BACKENDS[name]
    backend.write(model, folder, signature_of(model), quantization, calibration)
    task = {"name": "language_model"} if model.spec.outputs[0].choice == "next" else {"name": "classification"}
    manifest = Manifest("m", name, model.spec, task, ("input_ids", "attention_mask"), 64)
    return module.load(folder, manifest, 1)


def decided(backend, model, quantization, requests):
    """Layer → values [out, in] and scales of GPTQ."""
    prepared = prepare(model, quantization, backend.arithmetic(quantization), requests)
    found = prepared.model.quantization
    layers = [name.removesuffix(".weight.values") for name in found if name.endswith(".weight.values")]
    return {one: [found[f"{one}.weight.{part}"].numpy() for part in ("values", "scale")] for one in layers}


def packed(values, bits, size=16):
    """As `MatMulNBits` has it, byte by byte."""
    outputs, inputs = values.shape
    whole = np.zeros((outputs, -(-inputs // size) * size), np.int16)
    whole[:, :inputs] = values
    whole = (whole + 2 ** (bits - 1)).astype(np.uint8)
    if bits == 4:
        whole = whole[:, ::2] + 16 * whole[:, 1::2]
    return whole.reshape(outputs, -1, size * bits // 8)


@pytest.mark.parametrize("kind", ["llama", "bert"])
@pytest.mark.parametrize("name", FORMS)
def test_a_graph_stores_what_was_decided(name, kind, llama, tmp_path):
    model, requests = (llama, texts()) if kind == "llama" else (rounded.model("bert"), rounded.requests())
    asked = form(name, model)
    session("onnxruntime", tmp_path, model, asked, requests)
    graph = onnx.load(tmp_path / onnxruntime.FILE_NAME).graph
    stored = [numpy_helper.to_array(tensor) for tensor in graph.initializer]
    for layer, (values, scales) in decided(OnnxRuntime(), model, asked, requests).items():
        blocks = asked.activations == "none"
        kept = packed(values, 8 if np.abs(values).max() > 8 else 4) if blocks else values.T
        for wanted in (kept, scales.reshape(-1)):
            assert any(np.array_equal(wanted.squeeze(), array.reshape(wanted.shape).squeeze())
                       for array in stored if array.size == wanted.size), layer  # fmt: skip


JOINED = {"q_proj": ("q_proj", "k_proj", "v_proj"), "gate_proj": ("gate_proj", "up_proj")}


@needs_native
@pytest.mark.parametrize("name", [name for name in FORMS if name not in ("static", "8 bits in blocks")])
def test_a_plan_stores_what_was_decided(name, llama, tmp_path):
    asked = form(name, llama)
    session("native", tmp_path, llama, asked, texts())
    parts = file.take_apart(tmp_path / native.FILE_NAME).items()
    tensors = {one.split("#")[1].split(".", 1)[1]: array for one, array in parts if "#" in one}
    found = decided(Native(), llama, asked, texts())
    assert len(found) == 15
    matrices = [one.removesuffix(".weight") for one in tensors if one.removesuffix(".weight") in found]
    assert len(matrices) == 9
    for first in matrices:
        place, last = first.rsplit(".", 1)
        names = [f"{place}.{one}" for one in JOINED.get(last, (last,))]
        values = np.concatenate([found[one][0] for one in names])
        scales = np.concatenate([of_outputs(*found[one]) for one in names])
        array = tensors[f"{first}.weight"]
        assert np.array_equal(unpacked(array, *values.shape), values)
        stored = tensors[f"{first}.scales"]
        stored = stored if stored.ndim == 1 else stored.transpose(0, 2, 1).reshape(-1, stored.shape[1])
        assert np.array_equal(stored[: len(values)], scales)


def of_outputs(values, scales):
    """Of one scale, one for each output, or several."""
    outputs = len(values)
    return np.broadcast_to(scales, (outputs,)) if scales.size in (1, outputs) else scales.reshape(outputs, -1)


def unpacked(array, outputs, inputs):
    """Panels of a plan as a matrix: bytes [panels, I / 4, 16, 4], or of two halves each, [panels, I / 8, 16, 4]."""
    panels, groups, _, _ = array.shape
    if groups * 4 >= inputs:
        return array.transpose(0, 2, 1, 3).reshape(panels * 16, groups * 4)[:outputs, :inputs]
    halves = np.stack([array.view(np.uint8) & 15, array.view(np.uint8) >> 4], axis=2).astype(np.int8) - 8
    return halves.transpose(0, 3, 1, 2, 4).reshape(panels * 16, groups * 8)[:outputs, :inputs]


@pytest.mark.parametrize("name", EVERY)
def test_artifacts_keep_more_of_what_the_model_says(name, llama, tmp_path):
    apart = {}
    for kind, asked in {"nearest": FOUR, "gptq": GPTQ, "finer": replace(GPTQ, int8=EIGHT)}.items():
        opened, unseen = session(name, tmp_path, llama, asked, texts(48)), texts(20, seed=9)
        apart[kind] = np.mean([divergence(eager(llama, text)[0][0], opened(text)[0][0]) for text in unseen])
    assert apart["gptq"] < 0.9 * apart["nearest"]
    assert apart["finer"] < apart["gptq"]


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("asked", [replace(FOUR, int8=EIGHT), replace(GPTQ, int8=EIGHT)], ids=["nearest", "gptq"])
def test_an_output_matrix_of_eight_bits_in_a_graph(asked, tied, tmp_path):
    model = learned(tied, steps=2, hidden_size=32)
    session("onnxruntime", tmp_path, model, asked, texts(4))
    graph = onnx.load(tmp_path / onnxruntime.FILE_NAME).graph
    bits = [{one.name: one.i for one in node.attribute}["bits"] for node in graph.node if node.op_type == "MatMulNBits"]
    assert sorted(bits) == [4] * 14 + [8]
    rows = [node for node in graph.node if node.op_type == "GatherBlockQuantized"]  # the matrix serves as the table
    assert len(rows) == (1 if tied else 0)
    stored = [tensor for tensor in graph.initializer if tensor.name.startswith("encoder.embed_tokens")]
    assert bool(stored) is not tied


@needs_native
@pytest.mark.parametrize("tied", [True, False])
def test_an_output_matrix_of_eight_bits_in_a_plan(tied, tmp_path):
    model = learned(tied, steps=2, hidden_size=32)
    session("native", tmp_path, model, replace(GPTQ, int8=EIGHT), texts(4))
    plan = file.read(tmp_path / native.FILE_NAME).plan
    kinds = [step.matrix.kind for step in plan.steps if isinstance(step, steps.Linear)]
    assert kinds == ["int4"] * 8 + ["int8"]
    (embed,) = (step for step in plan.steps if isinstance(step, steps.Embed))
    assert (embed.words is None) is tied  # the matrix serves as the table


@needs_native
def test_layers_that_read_one_tensor_with_different_bits(llama, tmp_path):
    asked = replace(FOUR, int8=("*.k_proj",))
    opened = session("native", tmp_path, llama, asked)
    plan = file.read(tmp_path / native.FILE_NAME).plan
    kinds = [step.matrix.kind for step in plan.steps if isinstance(step, steps.Linear)]
    assert kinds[:3] == ["int4", "int8", "int4"]
    text = texts(1)[0]
    assert divergence(eager(llama, text)[0][0], opened(text)[0][0]) < 0.1


@pytest.mark.parametrize("name", EVERY)
def test_models_with_exits(name, tmp_path):
    model, requests = rounded.with_exits(rounded.model(), (0,)).eval(), rounded.requests()
    module, backend = BACKENDS[name]
    asked = replace(GPTQ, int8=("*.query",))
    notes = backend.write_segments(model, tmp_path, signature_of(model), asked, requests)
    assert any(note.startswith("GPTQ rounded ") for note in notes)
    manifest = Manifest("m", name, model.spec, {"name": "classification"}, ("input_ids", "attention_mask"), 64)
    first, last = module.load_segments(tmp_path, manifest, 1)
    apart = []
    for text in requests:
        states, _ = first(text)
        apart.append(np.abs(last(states, text.mask)[1] - rounded.answers(model, [text])).max())
    assert np.median(apart) < 0.5 * rounded.answers(model, requests).std()


def test_the_record_says_what_was_done(tmp_path):
    model = speaker()
    manifest = Manifest("writer", "", model.spec, {"name": "language_model"}, ("input_ids", "attention_mask"), 64)
    asked = replace(GPTQ, int8=EIGHT)
    written = write_artifact(tmp_path / "a", model, TOKENIZER, OnnxRuntime(), manifest, asked, texts(4))
    assert written.quantization["gptq"] == {"dampening": 0.01, "largest_first": True}
    assert written.quantization["notes"] == [
        "8 bits by name: head.next",
        "GPTQ rounded 14 linear layers on 4 texts; to the nearest, as their weights serve elsewhere too: head.next",
    ]


def test_a_runtime_with_integers_of_its_own_refuses(llama, tmp_path):
    with pytest.raises(
        MillisError, match=r"backend=eager got a quantization with .*gptq=\{'dampening': 0.01.*Use backend="
    ):
        Eager().write(llama, tmp_path, signature_of(llama), FORMS["dynamic"], texts(2))


def test_texts_are_required(llama, tmp_path):
    with pytest.raises(MillisError, match=r"calibration got 0 batches and no text with a token in them"):
        OnnxRuntime().write(llama, tmp_path, signature_of(llama), GPTQ)


def test_openvino_reads_the_integers_off_the_graph(tmp_path):
    openvino = pytest.importorskip("millis.backends.openvino")
    pytest.importorskip("openvino")
    model, requests = rounded.model("bert"), rounded.requests()
    asked = replace(GPTQ, int8=("head",))
    openvino.OpenVino().write(model, tmp_path, signature_of(model), asked, requests)
    manifest = Manifest("m", "openvino", model.spec, {"name": "classification"}, ("input_ids", "attention_mask"), 64)
    theirs = openvino.load(tmp_path, manifest, 1)
    done = prepare(model, asked, OnnxRuntime().arithmetic(asked), requests).model
    apart = [np.abs(theirs(text)[0] - rounded.answers(done, [text])).max() for text in requests]
    assert np.median(apart) < 0.02 * rounded.answers(model, requests).std()
