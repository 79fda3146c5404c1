import json
from dataclasses import asdict

import pytest
from omegaconf import OmegaConf

from millis import traits
from millis.backends.eager import Eager
from millis.backends.native import Native
from millis.backends.onnxruntime import OnnxRuntime
from millis.backends.openvino import OpenVino
from millis.errors import MillisError
from millis.quantization.spec import Awq, Calibration, Fallback, Gptq, Quantization

BLOCKS = {"activations": "none", "block_size": 32}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"weights": 6}, r"quantization.weights=6 is not supported: expected 8 or 4 bits"),
        ({"weights": 4}, r"weights=4 with activations='dynamic' is not supported.* Use quantization.activations=none"),
        ({"activations": "statik"}, r"activations='statik' is not supported: .* \(did you mean 'static'\?\)"),
        ({"activations": "none"}, r"block_size=None with activations='none': expected one of 16, 32, 64, 128, 256"),
        ({**BLOCKS, "block_size": 48}, r"block_size=48 with activations='none': expected one of 16, 32"),
        ({"block_size": 32}, r"block_size=32 needs activations=none.* set quantization.block_size=null"),
        ({**BLOCKS, "per_channel": False}, r"per_channel=False.* Expected per_channel=true, smooth=null"),
        ({"activations": "static"}, r"reads calibration texts, but quantization.calibration is null"),
        ({"fallback": Fallback()}, r"reads calibration texts, but quantization.calibration is null"),
        ({"smooth": 1.5, "calibration": Calibration()}, r"quantization.smooth=1.5: expected α from 0 .* to 1"),
        ({"smooth": -0.1, "calibration": Calibration()}, r"quantization.smooth=-0.1: expected α from 0"),
        ({"reduce_range": "maybe"}, r"reduce_range='maybe': expected auto, true or false"),
        ({"keep": "head"}, r"keep='head': expected a list of patterns, such as \['head'\]"),
        ({**BLOCKS, "weights": 4, "int8": "head"}, r"int8='head': expected a list of patterns, such as \['head'\]"),
        (
            {"int8": ["head"]},
            r"int8=\['head'\] names layers that get 8 bits, .*gives them to all. Set quantization.int8=",
        ),
        (
            {"gptq": Gptq()},
            r"gptq=Gptq\(.*\), awq=None reads calibration texts, but .*=static, smooth, gptq or awq, or",
        ),
        ({"awq": Awq(), "calibration": Calibration()}, r"awq with activations='dynamic' would make weights finer and"),
        (
            {"smooth": 0.5, "calibration": Calibration(), "aware": object()},
            r"aware trains the weights on their grid.* Set quantization.smooth=null",
        ),
        (
            {"gptq": Gptq(), "calibration": Calibration(), "aware": object()},
            r"smooth, fallback, gptq and awq would move them off it again.* and quantization.awq=null",
        ),
    ],
)
def test_what_no_backend_computes_is_refused(values, message):
    with pytest.raises(MillisError, match=message):
        Quantization(**values)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Calibration(method="minmax"), r"calibration.method='minmax' .* \(did you mean 'min_max'\?\)"),
        (lambda: Calibration(percentile=50), r"calibration.percentile=50: expected above 50, up to 100"),
        (lambda: Calibration(texts=0), r"calibration.texts=0: expected at least 1; 128 is usual"),
        (lambda: Fallback(damage=-1), r"fallback.damage=-1, layers=4: expected damage of at least 0 nats"),
        (lambda: Gptq(dampening=0), r"gptq.dampening=0: expected above 0 .*, up to 1; 0.01 is usual"),
        (lambda: Awq(steps=1), r"awq.steps=1: expected at least 2, of which the first scales nothing"),
        (lambda: Gptq(dampening=1.5), r"gptq.dampening=1.5: expected above 0"),
        (lambda: Fallback(layers=0), r"fallback.damage=0.01, layers=0: .* or quantization.fallback=null"),
    ],
)
def test_its_parts_are_checked_too(make, message):
    with pytest.raises(MillisError, match=message):
        make()


def test_a_runtime_that_finds_integers_of_its_own_is_refused_beforehand():
    asked = Quantization(gptq=Gptq(), calibration=Calibration())
    for backend in (OnnxRuntime(), OpenVino(), Native()):
        traits.check({"quantization": asked, "backend": backend})
    with pytest.raises(MillisError) as error:
        traits.check({"quantization": asked, "backend": Eager()})
    assert str(error.value) == (
        "quantization.gptq decides which integers are stored, and backend=eager finds its own. Choose backend=native, "
        "onnxruntime or openvino, or set quantization.gptq=null"
    )


def test_weights_that_were_not_trained_are_neither_ranked_nor_rounded_by_what_they_do():
    asked = Quantization(
        **BLOCKS, weights=4, int8=("head",), gptq=Gptq(), fallback=Fallback(), calibration=Calibration()
    )
    assert asked.untrained == Quantization(**BLOCKS, weights=4, int8=("head",), calibration=Calibration())
    assert not asked.untrained.calibrates


def test_it_is_hashable_and_goes_into_a_manifest_whatever_made_it():
    listed = OmegaConf.create(["head", "*.query"])
    made = Quantization(keep=listed, fallback=Fallback(), calibration=Calibration())
    assert made == Quantization(keep=("head", "*.query"), fallback=Fallback(), calibration=Calibration())
    assert len({made, made}) == 1
    assert json.loads(json.dumps(asdict(made)))["keep"] == ["head", "*.query"]


@pytest.mark.parametrize(
    ("values", "calibrates", "name"),
    [
        ({}, False, "int8"),
        ({"activations": "static", "calibration": Calibration()}, True, "int8 static"),
        ({"smooth": 0.5, "calibration": Calibration()}, True, "int8 smooth"),
        ({"fallback": Fallback(), "calibration": Calibration()}, True, "int8"),
        ({**BLOCKS, "weights": 4}, False, "int4 weights"),
        ({**BLOCKS, "weights": 4, "gptq": Gptq(), "calibration": Calibration()}, True, "int4 weights gptq"),
        ({**BLOCKS, "weights": 4, "awq": Awq(), "calibration": Calibration()}, True, "int4 weights awq"),
        ({"aware": object()}, False, "int8 qat"),
    ],
)
def test_it_says_what_it_needs_and_is_called(values, calibrates, name):
    quantization = Quantization(**values)
    assert (quantization.calibrates, quantization.describe()) == (calibrates, name)
