"""What a recipe is called."""

from types import SimpleNamespace

import pytest

from millis.cli.hydra_app import composed
from millis.cli.pipeline.measure import recipe_name


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ([], "fp32"),
        (["quantization=dynamic"], "int8"),
        (["quantization=dynamic", "storage=shared"], "int8 shared 4"),
        (["backend=openvino"], "fp32 openvino"),
        (["backend=openvino", "backend.precision=bf16"], "bf16 openvino"),
        (["backend=openvino", "backend.precision=bf16", "quantization=static"], "int8 static openvino"),
        (["backend=cuda", "backend.precision=fp16"], "fp16 cuda"),
        (["backend.device=cuda"], "fp32 onnxruntime cuda"),
    ],
)
def test_a_name_tells_bits_storage_and_where_it_runs(overrides, words):
    cfg = composed("compress", ["quantization=none", *overrides])
    assert recipe_name(cfg, SimpleNamespace(name="static 192")) == f"static 192 {words}"
