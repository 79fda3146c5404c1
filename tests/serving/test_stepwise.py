"""Sessions that stop: what is not needed is not run, rows leave a batch, deadlines are kept, every backend agrees."""

import importlib
from time import perf_counter_ns
from types import SimpleNamespace

import numpy as np
import pytest
import rounded
import torch
from hypothesis import given
from hypothesis import strategies as st
from signatures import answering

from millis.backends.artifact import write_artifact
from millis.backends.eager import Eager
from millis.backends.modules import segments_of
from millis.backends.onnx.session import segment_path
from millis.backends.onnxruntime import OnnxRuntime
from millis.backends.openvino import OpenVino
from millis.early_exit.threshold import leaving
from millis.errors import MillisError
from millis.models.exits import exit_logits
from millis.quantization.rounding import convert
from millis.quantization.spec import Calibration, Fallback, Quantization
from millis.serving import cascade, stepwise
from millis.serving.runner import load
from millis.serving.stepwise import StepwiseSession
from millis.storage.manifest import Manifest
from millis.types import Features

INPUTS = ("input_ids", "attention_mask")
LABELS = ("a", "b", "c")


class Scripted:
    """Steps that say what they are told, a row being known by its first id; remembers the rows it was given."""

    def __init__(self, logits):
        self.logits, self.seen = logits, []  # [E, N, C]

    def steps(self):
        return [lambda *given, position=position: self.step(position, *given) for position in range(len(self.logits))]

    def step(self, position, given, *mask):
        rows = given.ids[:, 0] if isinstance(given, Features) else given[:, 0, 0].astype(int)
        assert not mask or mask[0].shape == given.shape[:2]
        self.seen.append((position, rows.tolist()))
        states = np.repeat(rows[:, None, None], 2, axis=1).astype(np.float32)  # [B, 2, 1]
        return states, self.logits[position][rows]


def requests(rows):
    ids = np.array([[row, 0] for row in rows])
    return Features(ids, np.ones_like(ids), None)


def scripted(*certain):
    """Logits [E, N, 2] of exits that are certain (of label 1) of these rows, out of three, and of no other."""
    logits = np.zeros((len(certain), 3, 2), np.float32)
    for position, rows in enumerate(certain):
        logits[position, list(rows), 1] = 20.0
    return logits


def test_what_comes_after_a_sure_exit_is_not_run():
    script = Scripted(scripted([0], [1], [2]))
    session = StepwiseSession(script.steps(), "maximum_probability", 0.99)
    assert session.answer(requests([0])).steps.tolist() == [1]
    assert script.seen == [(0, [0])]
    assert session.answer(requests([2])).steps.tolist() == [3]
    assert script.seen[1:] == [(0, [2]), (1, [2]), (2, [2])]


def test_rows_that_have_left_take_no_part_in_what_follows():
    script = Scripted(scripted([1], [0], [2]))
    answered = StepwiseSession(script.steps(), "maximum_probability", 0.99).answer(requests([0, 1, 2]))
    assert answered.steps.tolist() == [2, 1, 3]
    assert script.seen == [(0, [0, 1, 2]), (1, [0, 2]), (2, [2])]
    assert answered.outputs[0].argmax(axis=1).tolist() == [1, 1, 1]  # each from the exit that was certain


def test_without_a_threshold_nobody_leaves():
    script = Scripted(scripted([0, 1, 2], [0, 1, 2]))
    session = StepwiseSession(script.steps(), "entropy", stepwise.NEVER)
    assert session.answer(requests([0, 1])).steps.tolist() == [2, 2]


@given(st.integers(0, 500), st.sampled_from(["entropy", "maximum_probability", "patience"]), st.floats(0.05, 1.5))
def test_a_batch_leaves_where_its_rows_would_alone_and_where_the_threshold_was_chosen(seed, policy, threshold):
    logits = np.random.default_rng(seed).normal(size=(4, 6, 3)).astype(np.float32) * 2
    session = StepwiseSession(Scripted(logits).steps(), policy, threshold)
    together = session.answer(requests(range(6)))
    alone = [session.answer(requests([row])) for row in range(6)]
    leaves = leaving(policy, threshold, logits)
    assert together.steps.tolist() == [int(one.steps[0]) for one in alone] == (leaves + 1).tolist()
    assert (
        together.outputs[0].tolist()
        == [one.outputs[0][0].tolist() for one in alone]
        == logits[leaves, range(6)].tolist()
    )
    assert session.every(requests(range(6))).tolist() == logits.tolist()


def timed(milliseconds):
    """A session that nobody leaves, whose steps were measured to take so long at one and at two tokens."""
    session = StepwiseSession(Scripted(scripted([], [], [])).steps(), "entropy", 0.99)
    session._lengths, session._step_ns = np.array([1, 3]), np.array(milliseconds) * 1e6
    return session


@pytest.mark.parametrize(("allowed_ms", "steps"), [(1_000, 1), (150_000, 2), (400_000, 3), (0, 1)])
def test_no_step_begins_that_would_end_too_late(allowed_ms, steps):
    # At 2 tokens, half-way: 100 s and 200 s for the second and third step, none of which the script really takes.
    session = timed([[0, 50_000, 150_000], [0, 150_000, 250_000]])
    until = perf_counter_ns() + allowed_ms * 1_000_000
    assert session.answer(requests([0]), until).steps.tolist() == [steps]
    assert session.step_ms(2) == [0, 100_000, 200_000]


def test_a_deadline_of_several_texts_is_refused():
    message = r"a deadline got 2 texts at once, expected one: .* Ask for them one by one, or without a deadline"
    with pytest.raises(MillisError, match=message):
        timed([[0, 0, 0], [0, 0, 0]]).answer(requests([0, 1]), perf_counter_ns())


def test_times_are_learnt_at_every_length():
    session = StepwiseSession(Scripted(scripted([0], [0], [0])).steps(), "entropy", 0.99)
    assert not session.knows_times
    session.learn_times([requests([0])])
    assert session.knows_times
    assert all(milliseconds > 0 for milliseconds in session.step_ms(2))


# Every backend that has segments.

QUANTIZED = {
    "fp32": None,
    "dynamic": Quantization(),
    "weights": Quantization(activations="none", block_size=32),
    "static": Quantization(activations="static", calibration=Calibration(texts=8)),
    "smooth": Quantization(activations="static", calibration=Calibration(texts=8), smooth=0.5),
    "fallback": Quantization(
        activations="static", calibration=Calibration(texts=8), fallback=Fallback(damage=0.0, layers=2)
    ),
    "kept": Quantization(keep=("head", "exits.0")),
}
CASES = [
    *((OnnxRuntime(), name) for name in QUANTIZED),
    *((OpenVino(), name) for name in QUANTIZED),
    *((Eager(), name) for name in ("fp32", "dynamic")),
]


def exiting(kind="bert"):
    made = rounded.with_exits(rounded.model(kind), [0])
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in made.exits.parameters():
            parameter.normal_()
    return made.eval()


def written(folder, backend, model, quantization=None, tokenizer=None, texts=()):
    manifest = Manifest("tiny", backend.name, model.spec, answering(*LABELS), INPUTS, 12)
    return write_artifact(folder, model, tokenizer, backend, manifest, quantization, texts)


@pytest.fixture
def words(tokenizer):
    return tokenizer()


@pytest.mark.parametrize(("backend", "name"), CASES, ids=[f"{backend.name} {name}" for backend, name in CASES])
def test_segments_answer_as_eager_fp32(backend, name, tmp_path, words):
    model, quantization = exiting(), QUANTIZED[name]
    manifest = written(tmp_path / "artifact", backend, model, quantization, words, rounded.requests(8, seed=5))
    module = importlib.import_module(f"millis.backends.{backend.name}")
    session = stepwise.load(module, tmp_path / "artifact", manifest, 1)
    eager = StepwiseSession(segments_of(model), "entropy", stepwise.NEVER)
    texts = rounded.requests(16)
    got, expected = (np.concatenate([one.every(text) for text in texts], axis=1) for one in (session, eager))
    # fp32 to rounding; int8 to a tenth of the logits' spread on the median text.
    errors = np.abs(got - expected).max(axis=(0, 2))
    assert np.median(errors) < (1e-4 if name == "fp32" else 0.1 * expected.std())


@pytest.mark.parametrize("kind", ["roberta", "distilbert", "low rank"])
def test_every_architecture_is_exported(kind, tmp_path, words):
    model = exiting(kind)
    manifest = written(tmp_path / "artifact", OnnxRuntime(), model, None, words)
    session = stepwise.load(importlib.import_module("millis.backends.onnxruntime"), tmp_path / "artifact", manifest, 1)
    ids, mask, _ = rounded.batch(rows=3)
    with torch.no_grad():
        expected = np.stack([logits.numpy() for logits in exit_logits(model, ids, mask)])
    assert np.allclose(session.every(Features(ids.numpy(), mask.numpy(), None)), expected, atol=1e-4)


def test_an_artifact_is_one_graph_a_segment_and_kept_layers_stay_fp32(tmp_path, words):
    import onnx

    manifest = written(tmp_path / "artifact", OnnxRuntime(), exiting(), QUANTIZED["kept"], words)
    assert set(manifest.files) == {"segment_0.onnx", "segment_1.onnx", "tokenizer.json"}
    for position in range(2):
        tensors = onnx.load(segment_path(tmp_path / "artifact", position)).graph.initializer
        shapes = [tuple(tensor.dims) for tensor in tensors if tensor.data_type == onnx.TensorProto.FLOAT]
        assert any(shape in ((16, 3), (3, 16)) for shape in shapes)  # the classifier, [D, C]


def test_a_loaded_artifact_answers_and_tells_its_steps(tmp_path, words):
    written(tmp_path / "artifact", OnnxRuntime(), exiting(), None, words)
    runner = load(tmp_path / "artifact")
    assert runner.predict("a b").label in LABELS
    timely = runner.predict("a b c", deadline_ms=60_000)
    assert (timely.step, timely.steps, timely.kept) == (2, 2, True)
    assert runner.answer(runner.feed(runner.tokenize("a"))).steps.tolist() == [2]


def test_a_backend_without_segments_refuses_to_write_and_to_load(tmp_path, words):
    whole = SimpleNamespace(name="whole", write=None)
    with pytest.raises(MillisError, match=r"backend=whole cannot write it in segments\. Choose backend=native, onn"):
        written(tmp_path / "artifact", whole, exiting(), None, words)
    assert not (tmp_path / "artifact").exists()
    manifest = Manifest("tiny", "whole", exiting().spec, answering(*LABELS), INPUTS, 12)
    with pytest.raises(MillisError, match="is a model in segments, and backend=whole runs whole models only"):
        stepwise.load(SimpleNamespace(), tmp_path, manifest, 1)


def test_segments_without_texts_to_calibrate_on_are_refused(tmp_path, words):
    with pytest.raises(MillisError, match="calibration got 0 batches and no text with a token in them"):
        written(tmp_path / "artifact", OnnxRuntime(), exiting(), QUANTIZED["static"], words)
    assert not (tmp_path / "artifact").exists()


def test_ranges_of_a_segment_are_those_of_what_it_gets(tmp_path, words):
    """Both segments get their first product's range from states that the graph before computes in fp32."""
    import onnx
    from onnx import numpy_helper

    model, texts = exiting(), rounded.requests(8, seed=5)
    written(tmp_path / "artifact", OnnxRuntime(), model, QUANTIZED["static"], words, texts)
    first, second = segments_of(model)
    for position, step in enumerate((first, second)):
        seen = []
        reader = step.segment.segment.blocks[0] if position == 0 else step.segment.blocks[0]
        handle = reader.attention.self.query.register_forward_pre_hook(lambda _, given, to=seen: to.append(given[0]))
        for text in texts:
            states, _ = first(text)
            if position:
                second(states, text.mask)
        handle.remove()
        low, high = (float(find(torch.cat([one.flatten() for one in seen]))) for find in (torch.min, torch.max))
        graph = onnx.load(segment_path(tmp_path / "artifact", position)).graph
        stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
        scales = [stored[node.input[1]].item() for node in graph.node if node.op_type == "QuantizeLinear"]
        assert scales[0] == pytest.approx((max(high, 0) - min(low, 0)) / 255, rel=1e-4)


@pytest.mark.parametrize("recipe", ["dynamic", "static", "4 bits alone"])
def test_exits_are_deployed_as_they_were_trained(tmp_path, words, recipe):
    model, quantization = exiting(), rounded.quantization(recipe, ranges="lsq")
    rounded.prepare(model, quantization)
    rounded.train(model)
    texts = rounded.requests()
    simulated = np.concatenate(
        [StepwiseSession(segments_of(model), "entropy", 9).every(text) for text in texts], axis=1
    )
    manifest = written(tmp_path / "artifact", OnnxRuntime(), convert(model), quantization, words, texts)
    module = importlib.import_module("millis.backends.onnxruntime")
    session = stepwise.load(module, tmp_path / "artifact", manifest, 1)
    found = np.concatenate([session.every(text) for text in texts], axis=1)
    errors = np.abs(found - simulated).max(axis=(0, 2)) / simulated.std()
    # The last bit of a layer norm may turn a rounding, in one text of many; with it the text's logits move.
    assert np.median(errors) < 1e-5
    assert errors.max() < 0.1


def test_a_missing_segment_is_one_message(tmp_path, words):
    written(tmp_path / "artifact", OnnxRuntime(), exiting(), None, words)
    segment_path(tmp_path / "artifact", 1).unlink()
    with pytest.raises(MillisError, match=r"segment_1\.onnx is missing\. Copy or make it again"):
        load(tmp_path / "artifact")


def test_a_model_with_exits_is_a_member_of_a_cascade(tmp_path, words):
    members = {}
    for name in cascade.MEMBERS:
        members[name] = (tmp_path / name, written(tmp_path / name, OnnxRuntime(), exiting(), None, words))
    cascade.write(tmp_path / "both", members, "both", 2.0)  # the fast member is never sure
    texts = ["a b", "c"]
    assert np.array_equal(load(tmp_path / "both").logits(texts), load(tmp_path / "accurate").logits(texts))
