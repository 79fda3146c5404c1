"""millis' own runtime: whole models of every architecture against eager, on every instruction set; what it refuses."""

import copy
import gc
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shaped import ENCODERS, LONGEST, RANKS, SMALL, VOCABULARY, agree, batch, eager, signature_of, spread, transformer
from signatures import TEXTS
from torch import nn

from millis.backends.modules import segments_of
from millis.backends.native import FILE_NAME, Native
from millis.backends.plan import file, library
from millis.backends.plan.session import PlanSegment, PlanSession
from millis.backends.tracing import every
from millis.errors import MillisError
from millis.models import build, read
from millis.models.token_pruning import tokens_left
from millis.quantization.qat import Aware
from millis.quantization.spec import Calibration, Quantization
from millis.types import Features

if library.missing():
    pytest.skip(str(library.missing()), allow_module_level=True)

DYNAMIC = Quantization(reduce_range=False)
BLOCKS = Quantization(weights=4, activations="none", block_size=16)


@pytest.fixture(params=library.SETS)
def instructions(request, monkeypatch):
    if request.param not in library.available():
        pytest.skip(f"this processor has no {request.param}")
    monkeypatch.setenv(library.FORCED, request.param)
    return request.param


def session(model, folder, quantization=None, pairs=False, threads=1, precision="fp32"):
    Native(precision).write(model, folder, signature_of(model, pairs), quantization)
    return PlanSession(file.read(folder / FILE_NAME), threads)


@pytest.mark.usefixtures("instructions")
@pytest.mark.parametrize("kind", ENCODERS)
def test_every_architecture_answers_as_eager(kind, tmp_path):
    model = transformer(kind)
    native = session(model, tmp_path)
    for seed, (count, length) in enumerate([(1, 1), (1, 7), (1, LONGEST), (3, 5), (40, 9)]):
        features = batch(seed, count, length)
        agree(native(features), eager(model, features), features, model.spec.outputs)


def halved(model):
    """A copy whose linear layers and tables are bf16's numbers, and whose linear layers read such."""
    model = copy.deepcopy(model)
    for layer in model.modules():
        if isinstance(layer, nn.Linear | nn.Embedding):
            layer.weight = nn.Parameter(layer.weight.detach().bfloat16().float())
        if isinstance(layer, nn.Linear):
            layer.register_forward_pre_hook(lambda _, read: read[0].bfloat16().float())
    return model


@pytest.mark.usefixtures("instructions")
@pytest.mark.parametrize("kind", ENCODERS)
def test_every_architecture_in_bf16(kind, tmp_path):
    model = transformer(kind)
    native = session(model, tmp_path, precision="bf16")
    assert {tensor.dtype for tensor in file.read(tmp_path / FILE_NAME).plan.tensors} == {"f4", "u2"}
    for seed, (count, length) in enumerate([(1, 1), (1, 7), (3, 5)]):
        features = batch(seed, count, length)
        expected = eager(halved(model), features)
        agree(native(features), expected, features, model.spec.outputs, tolerance=3e-3)  # sums may end beside a half


def test_bf16_is_of_half_the_bytes_and_not_of_integers(tmp_path):
    model = transformer("bert", hidden=64)
    session(model, tmp_path)
    whole = (tmp_path / FILE_NAME).stat().st_size
    session(model, tmp_path, precision="bf16")
    assert (tmp_path / FILE_NAME).stat().st_size < 0.6 * whole
    with pytest.raises(
        MillisError,
        match=r"^backend.precision=bf16 computes with bf16 and .* Choose backend.precision=fp32, or quantization=none$",
    ):
        Native("bf16").write(model, tmp_path, signature_of(model), DYNAMIC)
    with pytest.raises(MillisError, match=r"backend.precision='bf8' is not supported by native: expected one of fp32"):
        Native("bf8")


SHAPES = {
    "no heads": {"heads": (0, 3)},
    "no neurons": {"ffn": (0, 5)},
    "nothing left": {"heads": (0, 0), "ffn": (0, 0)},
    "odd sizes": {"hidden": 20, "size": 7, "heads": (3, 1), "ffn": (13, 1)},
    "wide heads": {"hidden": 24, "size": 40, "heads": (1, 2)},
    "many layers": {"heads": (1,) * 7, "ffn": (3,) * 7},
    "first position": {"pooling": "cls"},
    "pooler": {"pooling": "cls", "pooler": "tanh"},
    "low rank": {"ranks": RANKS},
    "two outputs": {"outputs": [["intent", "text", 3, "one"], ["tags", "token", 4, "one"]]},
    "tags alone": {"outputs": [["tags", "token", 4, "one"]]},
    "a vector": {"outputs": [["vector", "text", 32, "vector"]]},
}  # fmt: skip


@pytest.mark.usefixtures("instructions")
@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_answers_as_eager(shape, tmp_path):
    model = transformer("bert", **SHAPES[shape])
    native = session(model, tmp_path, pairs=True)
    for seed, (count, length) in enumerate([(1, 1), (1, 8), (4, 6)]):
        features = batch(seed, count, length, pairs=True)
        agree(native(features), eager(model, features), features, model.spec.outputs)


@pytest.mark.usefixtures("instructions")
@pytest.mark.parametrize("activation", ["gelu", "gelu_new", "relu", "silu"])
def test_every_activation(activation, tmp_path):
    encoder = ENCODERS["bert"] | {
        "hidden_act": activation, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 1,
        "intermediate_size": 48,
    }  # fmt: skip
    model, features = transformer("bert", encoder=encoder), batch(0, 2, 5)
    agree(session(model, tmp_path)(features), eager(model, features), features, model.spec.outputs)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_random_models_answer_as_eager(tmp_path, data):
    layers = data.draw(st.integers(1, 3))
    model = transformer(
        data.draw(st.sampled_from(["bert", "roberta", "distilbert"])),
        hidden=data.draw(st.integers(2, 40)),
        size=data.draw(st.integers(1, 20)),
        heads=data.draw(st.tuples(*[st.integers(0, 4)] * layers)),
        ffn=data.draw(st.tuples(*[st.integers(0, 40)] * layers)),
        pooling=data.draw(st.sampled_from(["mean", "cls"])),
    )
    features = batch(data.draw(st.integers(0, 99)), data.draw(st.integers(1, 9)), data.draw(st.integers(1, LONGEST)))
    found, expected = session(model, tmp_path)(features), eager(model, features)
    agree(found, expected, features, model.spec.outputs, tolerance=1e-4)


@pytest.mark.usefixtures("instructions")
@pytest.mark.parametrize("kind", SMALL)
@pytest.mark.parametrize("stored", ["fp32", "bf16", "int8", "int4"])
def test_small_families(kind, stored, tmp_path):
    model = spread(build(read(SMALL[kind])))
    precision = "bf16" if stored == "bf16" else "fp32"
    native = session(model, tmp_path, {"int8": DYNAMIC, "int4": BLOCKS}.get(stored), precision=precision)
    for seed, (count, length) in enumerate([(1, 1), (1, 9), (5, 7)]):
        features = batch(seed, count, length)
        outputs, expected = model.spec.outputs, eager(model, features)
        tolerance = {"fp32": 2e-5, "bf16": 0.03, "int8": 0.05, "int4": 0.3}[stored]
        agree(native(features), expected, features, outputs, tolerance)


def rounded_weights(weight):
    step = (weight.abs().amax(dim=1, keepdim=True).double() / 127).float()
    step = torch.where(step < torch.finfo().tiny, 1.0, step)
    return (weight / step).round() * step


def rounded_rows(x):
    low, high = x.amin(-1, keepdim=True).clamp(max=0), x.amax(-1, keepdim=True).clamp(min=0)
    step = (high - low) / 255
    zero = (-low / step + 0.5).floor()
    return ((x * (1 / step)).round() + zero).clamp(0, 255).sub(zero) * step


def simulated(model):
    """A model of floats that rounds what `backend=native` says it rounds."""
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Embedding):
            module.weight.data.copy_(rounded_weights(module.weight))
        if isinstance(module, nn.Linear):
            module.register_forward_pre_hook(lambda _, given: (rounded_rows(given[0]),))
    return model


@pytest.mark.usefixtures("instructions")
@pytest.mark.parametrize("kind", ENCODERS)
def test_integers_are_those_that_are_described(kind, tmp_path):
    model, features = transformer(kind), batch(1, 6, 11)
    (found,), plain = session(model, tmp_path, DYNAMIC)(features), eager(model, features)[0]
    (expected,) = eager(simulated(model), features)
    # Another order of a sum may turn a rounding; that is far less than what rounding does at all.
    assert np.abs(found - expected).mean() < 0.2 * np.abs(plain - expected).mean()
    assert np.abs(found - plain).max() < 0.1 * np.abs(plain).max()


def dropping(kind, thresholds, **changes):
    model = transformer(kind, tokens=[*range(len(thresholds))], **changes)
    with torch.no_grad():
        model.between.thresholds[0].copy_(torch.tensor(thresholds).log())
    return model


@pytest.mark.usefixtures("instructions")
@pytest.mark.parametrize("kind", ENCODERS)
def test_tokens_that_are_dropped_are_left_out(kind, tmp_path):
    model = dropping(kind, [0.08, 0.12])
    native = session(model, tmp_path)
    for seed, (count, length) in enumerate([(1, 1), (1, 12), (5, 20), (30, 9)]):
        features = batch(seed, count, length)
        inputs = torch.from_numpy(features.ids), torch.from_numpy(features.mask)
        left = tokens_left(model, *inputs)[-1].numpy()
        assert length == 1 or (left < features.mask.sum(axis=1)).any()
        agree(native(features), eager(model, features), features, model.spec.outputs)


@pytest.mark.usefixtures("instructions")
@pytest.mark.parametrize("quantization", [None, DYNAMIC], ids=["fp32", "int8"])
def test_segments_are_those_of_eager(quantization, tmp_path):
    model = transformer("bert", heads=(4, 2, 1, 3), ffn=(48, 20, 7, 16), exits=[0, 2], pooling="cls")
    Native().write_segments(model, tmp_path, signature_of(model), quantization)
    here = [PlanSegment(file.read(file.segment_path(tmp_path, position))) for position in range(3)]
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"segment_{position}.plan" for position in range(3)]
    for seed, (count, length) in enumerate([(1, 1), (1, 8), (4, 6)]):
        features = batch(seed, count, length)
        expected = every(segments_of(model), features)
        assert every(here, features) == pytest.approx(expected, abs=1e-4 if quantization is None else 0.3)
    states, _ = here[0](features)
    with pytest.raises(MillisError, match=r"is given states \[4, 6, 31\] and takes \[4, 6, 32\]"):
        here[1](states[:, :, :31], features.mask)
    with pytest.raises(MillisError, match="it begins where another segment should end"):
        here[1](features)
    with pytest.raises(MillisError, match=r"is given states .* and takes \[4, 6, None\]"):
        here[0](states, features.mask)
    session(transformer("bert"), tmp_path)
    with pytest.raises(MillisError, match="a segment gives logits and states"):
        PlanSegment(file.read(tmp_path / FILE_NAME))


def test_layers_are_kept_in_fp32(tmp_path):
    model, features = transformer("bert"), batch(0, 3, 8)
    kept = Quantization(keep=("encoder", "head"), reduce_range=False)
    agree(session(model, tmp_path, kept)(features), eager(model, features), features, model.spec.outputs)


def test_seven_bits_are_asked_for_and_told(tmp_path):
    model = transformer("bert")
    notes = Native().write(model, tmp_path, signature_of(model), Quantization(reduce_range=True))
    assert notes == ("weights have 7 bits, as asked (reduce_range)",)
    plan = file.read(tmp_path / FILE_NAME)
    matrix = plan.plan.tensors[next(step for step in plan.plan.steps if getattr(step, "matrix", None)).matrix.weights]
    values = plan.data[plan.start + matrix.offset :][: matrix.count].view(np.int8)
    assert (values.min(), values.max()) == (-64, 64)


@pytest.mark.parametrize(
    "quantization",
    [
        Quantization(activations="static", calibration=Calibration(texts=4)),
        Quantization(activations="none", block_size=32),
        Quantization(activations="static", calibration=Calibration(texts=4), aware=Aware()),
        Quantization(smooth=0.5, calibration=Calibration(texts=4)),
    ],
)
def test_other_integers_are_refused(quantization, tmp_path):
    with pytest.raises(
        MillisError,
        match=r"backend=native got a quantization with .* expected dynamic int8 .* Use backend=onnxruntime for others",
    ):
        Native().write(transformer("bert"), tmp_path, TEXTS, quantization)


REFUSED = {
    "a model of class Linear": lambda: nn.Linear(2, 2),
    "the activation 'leaky_relu'": lambda: transformer("bert", encoder=ENCODERS["bert"] | {
        "hidden_act": "leaky_relu", "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 1,
        "intermediate_size": 48,
    }),
}  # fmt: skip


@pytest.mark.usefixtures("instructions")
@pytest.mark.parametrize("size", [16, 7])  # heads of whole panels are shared out, others are not
@pytest.mark.parametrize("quantization", [None, DYNAMIC], ids=["fp32", "int8"])
def test_threads_change_nothing(size, quantization, tmp_path):
    model = transformer("bert", heads=(3, 2), size=size, ffn=(70, 33))
    alone = session(model, tmp_path, quantization)
    together = PlanSession(file.read(tmp_path / FILE_NAME), threads=3)
    batches = [batch(seed, count, LONGEST) for seed, count in enumerate([1, 2, 5, 9])]
    expected = [alone(features)[0] for features in batches]
    for _ in range(40):
        for features, one in zip(batches, expected, strict=True):
            assert np.array_equal(together(features)[0], one)


def test_many_callers_share_few_threads(tmp_path):
    model = transformer("bert", heads=(3, 2), size=16, ffn=(70, 33))
    together = session(model, tmp_path, threads=2)
    batches = [batch(seed, 3, LONGEST) for seed in range(8)]
    expected = [together(features)[0] for features in batches]

    def wrong(number):
        return sum(not np.array_equal(together(batches[number])[0], expected[number]) for _ in range(60))

    with ThreadPoolExecutor(8) as callers:
        assert list(callers.map(wrong, range(8))) == [0] * 8


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_fork_of_a_process_with_threads_ends(tmp_path):
    together = session(transformer("bert"), tmp_path, threads=3)
    together(batch(0, 2, LONGEST))
    if (child := os.fork()) == 0:
        del together
        gc.collect()
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


@pytest.mark.parametrize("what", REFUSED)
def test_what_it_cannot_run_is_refused_with_the_reason(what, tmp_path):
    with pytest.raises(MillisError, match=f"backend=native cannot run {what}.*Use backend=onnxruntime"):
        Native().write(REFUSED[what](), tmp_path, TEXTS, None)


def test_weights_that_are_no_numbers_are_refused(tmp_path):
    model = transformer("bert")
    model.head.weight.data[0, 0] = float("nan")
    with pytest.raises(MillisError, match="hold NaN or infinite values, expected finite ones"):
        Native().write(model, tmp_path, TEXTS, None)


@pytest.mark.parametrize(
    ("ids", "types", "message"),
    [
        ([[1, VOCABULARY]], None, f"token id {VOCABULARY} is outside of the model's vocabulary"),
        ([[1, -1]], None, "token id -1 is outside"),
        ([[1, 2**40]], None, "token id 1099511627776 is outside"),
        ([[3] * (LONGEST + 1)], None, f"{LONGEST + 1} tokens are more than the model has positions for"),
        ([[3, 4]], [[0, 2]], "token type 2 is none of the model's"),
        ([[3, 4]], [[0, -1]], "token type -1 is none of the model's"),
    ],
)
@pytest.mark.usefixtures("instructions")
def test_requests_beyond_the_tables_are_refused(ids, types, message, tmp_path):
    native = session(transformer("bert"), tmp_path, pairs=types is not None)
    given = np.array(ids)
    with pytest.raises(MillisError, match=message):
        native(Features(given, np.ones_like(given), None if types is None else np.array(types)))
    right = batch(0, 1, 4)
    agree(native(right), eager(transformer("bert"), right), right, transformer("bert").spec.outputs)


@pytest.mark.usefixtures("instructions")
@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_texts_without_tokens_have_an_answer(pooling, tmp_path):
    model = transformer("bert", pooling=pooling)
    ids, mask = np.array([[3, 4], [5, 6]]), np.array([[0, 0], [1, 0]])
    (found,) = session(model, tmp_path)(Features(ids, mask, None))
    assert np.isfinite(found).all()
    assert found[1] == pytest.approx(eager(model, Features(ids[1:, :1], mask[1:, :1], None))[0][0], abs=1e-5)
    if pooling == "mean":
        assert found[0] == pytest.approx(model.head.bias.detach().numpy(), abs=1e-6)


def test_no_texts_and_no_tokens(tmp_path):
    native = session(transformer("bert"), tmp_path)
    assert native(Features(np.zeros((0, 4), np.int64), np.zeros((0, 4), np.int64), None))[0].shape == (0, 3)
    assert native(Features(np.zeros((2, 0), np.int64), np.zeros((2, 0), np.int64), None))[0].shape == (2, 3)


def test_arrays_of_any_layout_are_read(tmp_path):
    model, features = transformer("bert"), batch(0, 4, 6)
    native = session(model, tmp_path)
    plain = native(features)[0]
    turned = Features(np.asfortranarray(features.ids), np.asfortranarray(features.mask), None)
    assert np.array_equal(native(turned)[0], plain)
    narrow = Features(features.ids.astype(np.int32), features.mask.astype(np.int8), None)
    assert np.array_equal(native(narrow)[0], plain)


def test_a_set_of_instructions_that_is_not_here_is_refused(tmp_path, monkeypatch):
    model = transformer("bert")
    Native().write(model, tmp_path, signature_of(model), None)
    monkeypatch.setenv(library.FORCED, "avx3")
    with pytest.raises(
        MillisError, match=r"MILLIS_INSTRUCTIONS=avx3 is not to be had on this processor: expected one of portable"
    ):
        PlanSession(file.read(tmp_path / FILE_NAME))


def test_a_build_that_is_missing_or_of_another_millis(tmp_path, monkeypatch):
    monkeypatch.setattr(library, "fingerprint", lambda _: 99)
    library.load.cache_clear()
    try:
        assert "was made of other sources than these: python native/build.py" in Native().missing()
        assert library.identity() is None
        monkeypatch.setattr(library, "PATH", tmp_path / "nothing.so")
        assert "the compiled part of millis is not installed: with a C++ compiler" in Native().missing()
        with pytest.raises(MillisError, match=r"backend=native: the compiled part .* Or use backend=onnxruntime"):
            Native().write(transformer("bert"), tmp_path, TEXTS, None)
        (tmp_path / "nothing.so").write_bytes(b"no library")
        assert "cannot be loaded" in Native().missing()
    finally:
        library.load.cache_clear()


def test_steps_tell_their_times(tmp_path):
    native = session(transformer("bert"), tmp_path)
    told = native.times(batch(0, 1, 8))
    assert [kind for _, kind, _ in told][:3] == ["Embed", "MatMul", "Attention"]
    assert told[1][0] == "1 linear 32 x 96 fp32"
    assert all(microseconds >= 0 for *_, microseconds in told)


def test_a_module_that_computes_otherwise_than_its_config_says_is_refused_in_int8_too(tmp_path):
    model = transformer("bert")
    for layer in model.encoder.encoder.layer:
        layer.intermediate.intermediate_act_fn = nn.ReLU()
    for quantization in (None, DYNAMIC):
        with pytest.raises(MillisError, match="backend=native does not compute what the model does"):
            Native().write(model, tmp_path, signature_of(model), quantization)
