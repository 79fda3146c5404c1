"""What every family owes: found by walking the package, so a new family is held to it without an edit here."""

import io
import subprocess
import sys
import warnings

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from millis import models
from millis.errors import MillisError

SPECS = {
    "transformer": {
        "family": "transformer",
        "encoder": {
            "model_type": "bert",
            "vocab_size": 100,
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "intermediate_size": 64,
            "max_position_embeddings": 40,
            "pad_token_id": 0,
        },
        "shape": {"head_size": 8, "heads": [3, 1], "ffn": [48, 16]},
        "affixes": [[2], [3]],
        "pooling": "mean",
        "dropout": 0.1,
        "num_labels": 3,
    },
    "convolution": {
        "family": "convolution",
        "vocab_size": 100,
        "embedding_size": 16,
        "filters": 8,
        "widths": [1, 3, 5],
        "dropout": 0.5,
        "num_labels": 3,
    },
    "bilstm": {
        "family": "bilstm",
        "vocab_size": 100,
        "embedding_size": 16,
        "hidden_size": 8,
        "dropout": 0.5,
        "num_labels": 3,
    },
    "static": {"family": "static", "vocab_size": 100, "size": 16, "dropout": 0.1, "num_labels": 3},
}
SPECS["encoder_decoder"] = {
    "family": "encoder_decoder",
    "config": {
        "model_type": "t5",
        "vocab_size": 100,
        "d_model": 32,
        "d_kv": 8,
        "d_ff": 64,
        "num_layers": 2,
        "num_decoder_layers": 1,
        "num_heads": 4,
        "feed_forward_proj": "gated-silu",
        "scale_decoder_outputs": False,
        "n_positions": 40,
        "eos_token_id": 2,
        "pad_token_id": 0,
    },
    "encoder": {"head_size": 8, "heads": [3, 3], "ffn": [48, 16]},
    "decoder": {"head_size": 8, "heads": [2], "ffn": [24]},
    "cross": [3],
    "affixes": [[1], [3]],
    "starts": [3],
    "outputs": [["reply", "token", 100, "next"]],
}
FAMILIES = models.families()
ONE_TEXT = [family for family in FAMILIES if family != "encoder_decoder"]  # whose rows are all read in one way
BUILT = {}


def built(family):
    if family not in BUILT:
        torch.manual_seed(0)
        BUILT[family] = models.build(models.read(SPECS[family])).eval()
    return BUILT[family]


def test_every_family_has_a_spec_here():
    assert sorted(FAMILIES) == sorted(SPECS)


@pytest.mark.parametrize("family", FAMILIES)
def test_spec_is_kept_and_rebuilds_the_same_shapes(family):
    model = built(family)
    again = models.build(model.spec)
    assert model.spec.to_json() == SPECS[family]
    assert models.read(SPECS[family]) == model.spec
    assert {k: v.shape for k, v in again.state_dict().items()} == {k: v.shape for k, v in model.state_dict().items()}


@pytest.mark.parametrize("family", ONE_TEXT)
@settings(max_examples=15, deadline=None)
@given(lengths=st.lists(st.integers(1, 20), min_size=1, max_size=4), padding=st.integers(0, 5), seed=st.integers(0, 99))
def test_logits_do_not_depend_on_padding(family, lengths, padding, seed):
    model, generator = built(family), torch.Generator().manual_seed(seed)
    width = max(lengths) + padding
    ids = torch.randint(0, 100, (len(lengths), width), generator=generator)  # what lies under padding is random too
    mask = (torch.arange(width) < torch.tensor(lengths)[:, None]).long()
    with torch.no_grad():
        together = model(ids, mask)
        for row, length in enumerate(lengths):
            alone = model(ids[row : row + 1, :length], mask[row : row + 1, :length])
            torch.testing.assert_close(together[row : row + 1], alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize("family", FAMILIES)
def test_text_without_tokens_gives_finite_logits_and_gradients(family):
    model = models.build(models.read(SPECS[family]))
    logits = model(torch.full((2, 3), 5), torch.tensor([[0, 0, 0], [1, 1, 0]]))
    logits.sum().backward()
    assert torch.isfinite(logits).all()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize("family", ONE_TEXT)
def test_every_parameter_learns(family):
    model = models.build(models.read(SPECS[family])).eval()
    model(torch.tensor([[5, 6, 7]]), torch.ones(1, 3, dtype=torch.long))[0, 0].backward()
    still = [name for name, p in model.named_parameters() if p.grad is None or p.grad.abs().sum() == 0]
    # A key's bias shifts every score of a query alike, which softmax does not see; it never learns.
    assert [name for name in still if not name.endswith("key.bias")] == []


@pytest.mark.parametrize("family", ONE_TEXT)
@pytest.mark.parametrize("pair", [False, True])
def test_torchscript_onnx_export_agrees_at_other_shapes(family, pair):
    model, names = built(family), ["input_ids", "attention_mask"] + ["token_type_ids"] * pair
    example = (torch.full((2, 6), 7), torch.ones(2, 6, dtype=torch.long), torch.zeros(2, 6, dtype=torch.long))
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model,
            example[: len(names)],
            file,
            input_names=names,
            output_names=["logits"],
            dynamic_axes={**{name: {0: "batch", 1: "sequence"} for name in names}, "logits": {0: "batch"}},
            opset_version=17,
            dynamo=False,
        )
    session = onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
    taken = {node.name for node in session.get_inputs()}
    for rows, length in ((1, 1), (1, 4), (3, 23)):
        ids = torch.randint(0, 100, (rows, length))
        mask = torch.ones_like(ids)
        mask[0, max(1, length // 2) :] = 0
        inputs = dict(zip(names, (ids, mask, (ids > 50).long()), strict=False))
        feed = {name: value.numpy() for name, value in inputs.items() if name in taken}
        with torch.no_grad():
            expected = model(**inputs).numpy()
        np.testing.assert_allclose(session.run(None, feed)[0], expected, atol=1e-5)


def test_unknown_family_names_the_nearest():
    with pytest.raises(MillisError) as error:
        models.build(models.read({"family": "transfomer"}))
    assert str(error.value) == (
        "model family 'transfomer' is unknown; expected one of bilstm, convolution, encoder_decoder, static, "
        "transformer (did you mean 'transformer'?). Mend `family` in the spec, or "
        "load the artifact with the millis that wrote it"
    )


@pytest.mark.parametrize("name", [None, "../errors", "anatomy", "os"])
def test_family_is_never_another_module(name):
    with pytest.raises(MillisError, match="is unknown; expected one of"):
        models.build(models.read({"family": name}))


def test_the_package_and_specs_import_neither_torch_nor_transformers():
    script = (
        f"import sys, millis.models as m; [m.read(spec) for spec in {list(SPECS.values())}]; m.families(); "
        "print(sorted({'torch', 'transformers'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("family", "expected"),
    [("transformer", 40), ("encoder_decoder", 40), ("convolution", 512), ("bilstm", 512), ("static", 512)],
)
def test_max_length(family, expected):
    assert models.max_length(models.read(SPECS[family])) == expected
