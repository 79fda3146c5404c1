"""SVD: by hand, against its own theorem, and as a model that is saved, restored and exported."""

import json

import hypothesis.extra.numpy as hnp
import numpy as np
import onnx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load, save
from sides import spec_of
from signatures import TEXTS
from specs import static, transformer

from millis import models
from millis.backends.onnx.export import export
from millis.backends.onnx.session import open_session
from millis.errors import MillisError
from millis.factorization.fisher import Fisher
from millis.factorization.rank import Energy, Fixed, Ratio
from millis.factorization.svd import Svd, decompose, with_ranks
from millis.quantization.spec import Quantization
from millis.types import Features

ALL = ["query", "key", "value", "attention_output", "ffn_in", "ffn_out"]
INPUTS = ("input_ids", "attention_mask")
matrices = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=7),
    elements=st.floats(-4, 4, width=32),
)


def apply(method, model, tokenizer, batches=None):
    return method.apply(model, tokenizer, [], batches)[0]


def test_two_by_two_by_hand():
    """W = [[2, 2], [1, 1]] + 0: rank 1, σ = sqrt(10). W = [[3, 0], [0, 1]]: rank 1 leaves [[3, 0], [0, 0]]."""
    values = decompose(torch.tensor([[2.0, 2.0], [1.0, 1.0]])).values
    assert values.tolist() == pytest.approx([10**0.5, 0.0], abs=1e-12)
    left, right = decompose(torch.tensor([[3.0, 0.0], [0.0, 1.0]])).factors(1)
    assert (left @ right).tolist() == [pytest.approx([3, 0], abs=1e-6), pytest.approx([0, 0], abs=1e-6)]
    assert left.norm() == pytest.approx(right.norm())  # each carries sqrt(3)
    assert left.norm() == pytest.approx(3**0.5)


def test_weights_choose_the_row_by_hand():
    """Rows (3, 0) and (0, 1) with weights 1 and 4: the second weighs 4 now, so it is the one that rank 1 keeps."""
    left, right = decompose(torch.tensor([[3.0, 0.0], [0.0, 1.0]]), torch.tensor([1.0, 4.0])).factors(1)
    assert (left @ right).tolist() == [pytest.approx([0, 0], abs=1e-6), pytest.approx([0, 1], abs=1e-6)]


@given(matrices, st.data())
def test_error_is_the_tail_of_the_singular_values(weight, data):
    weight = torch.from_numpy(weight)
    rank = data.draw(st.integers(1, min(weight.shape)))
    parts = decompose(weight)
    left, right = parts.factors(rank)
    error = (weight - left @ right).square().sum()
    assert float(error) == pytest.approx(float(parts.values[rank:].square().sum()), abs=1e-3)
    assert parts.values.numpy() == pytest.approx(np.linalg.svd(weight.double().numpy(), compute_uv=False), abs=1e-9)


@given(matrices, st.data())
def test_full_rank_is_exact_with_and_without_weights(weight, data):
    weight = torch.from_numpy(weight)
    weights = data.draw(st.lists(st.floats(0.1, 9), min_size=len(weight), max_size=len(weight)))
    for parts in (decompose(weight), decompose(weight, torch.tensor(weights))):
        left, right = parts.factors(min(weight.shape))
        torch.testing.assert_close(left @ right, weight, atol=1e-5, rtol=0)


@given(matrices, st.data())
def test_weighted_svd_is_never_worse_by_its_own_measure(weight, data):
    """Σ_o d_o² ||w_o - (U V)_o||² is what it minimises; plain SVD is one of the candidates."""
    weight = torch.from_numpy(weight)
    weights = torch.tensor(data.draw(st.lists(st.floats(0.1, 9), min_size=len(weight), max_size=len(weight))))
    rank = data.draw(st.integers(1, min(weight.shape)))

    def measure(parts):
        left, right = parts.factors(rank)
        return float(((weight - left @ right) * weights[:, None]).square().sum())

    assert measure(decompose(weight, weights)) <= measure(decompose(weight)) + 1e-3


def test_the_spec_foretells_the_model(model, spec, tokenizer, batches):
    for method in (Svd(ALL, Ratio(0.5)), Svd(["word_embeddings"], Fixed(4)), Svd(ALL, Fixed(5), Fisher(8))):
        foretold, same = method.spec(spec, tokenizer, [])
        small = apply(method, model, tokenizer, batches)
        assert small.spec == foretold
        assert same is tokenizer
        assert models.read(json.loads(json.dumps(foretold.to_json()))) == foretold
        assert spec.ranks == {} and model.spec.ranks == {}


def test_energy_is_known_with_the_weights_only(model, spec, tokenizer):
    method = Svd(ALL, Energy(0.6))
    assert method.spec(spec, tokenizer, []) == (None, tokenizer)
    ranks = apply(method, model, tokenizer).spec.ranks
    for name, rank in ranks.items():
        values = torch.linalg.svdvals(model.get_submodule(name).weight)
        share = values.square().cumsum(0) / values.square().sum()
        assert share[rank - 1] >= 0.6 > (share[rank - 2] if rank > 1 else 0)


def test_a_rank_that_saves_nothing_leaves_the_matrix_whole(model, spec, tokenizer):
    """Break-even of 16 x 16 is 8, of 32 x 16 it is 10.67: rank 8 is smaller for the second kind only."""
    small = apply(Svd(["query", "ffn_in", "ffn_out"], Fixed(8)), model, tokenizer)
    assert sorted(small.spec.ranks) == [
        f"encoder.encoder.layer.{i}.{part}.dense" for i in (0, 1) for part in ("intermediate", "output")
    ]
    whole = apply(Svd(ALL, Fixed(99)), model, tokenizer)
    assert whole.spec == spec
    assert whole.state_dict().keys() == model.state_dict().keys()


def test_ranks_of_two_factorizations_add_up(model, tokenizer):
    first = apply(Svd(["word_embeddings"], Fixed(4)), model, tokenizer)
    both = apply(Svd(["ffn_in"], Fixed(3)), first, tokenizer)
    assert sorted(both.spec.ranks.values()) == [3, 3, 4]
    again = Svd(["*dense*"], Fixed(2)).apply(both, tokenizer, [], None)[0]  # the factors themselves are not taken apart
    assert not [name for name in again.spec.ranks if name.endswith(("down", "up"))]
    two = with_ranks(transformer(ranks={"a": 1}), {"b": 9, "c": 1}, {"b": (4, 4), "c": (4, 4)})
    assert two.ranks == {"a": 1, "c": 1}


def test_almost_full_rank_answers_almost_alike(model, tokenizer, batches):
    """Embeddings of 16 dimensions have rank 16, below their break-even: the factorized table is the table."""
    small = apply(Svd(["word_embeddings"], Fixed(15)), model, tokenizer)
    coarse = apply(Svd(["word_embeddings"], Fixed(3)), model, tokenizer)
    batch = next(iter(batches(tokenizer)))
    inputs = batch["input_ids"], batch["attention_mask"]
    with torch.no_grad():
        near, far = ((other(*inputs) - model(*inputs)).abs().max() for other in (small, coarse))
    assert near < far / 2
    exact = Svd(["ffn_in"], Fixed(10)).apply(_of_rank(model, 3), tokenizer, [], None)[0]
    torch.testing.assert_close(exact(*inputs), _of_rank(model, 3)(*inputs), atol=1e-4, rtol=0)


def _of_rank(model, rank):
    """The model, its ffn_in of rank 3 already."""
    with torch.no_grad():
        for layer in model.encoder.encoder.layer:
            left, right = decompose(layer.intermediate.dense.weight).factors(rank)
            layer.intermediate.dense.weight.copy_(left @ right)
    return model


def test_saved_and_restored_by_its_spec(model, tokenizer, batches):
    small = apply(Svd([*ALL, "word_embeddings"], Fixed(4)), model, tokenizer)
    restored = models.build(models.read(json.loads(json.dumps(small.spec.to_json())))).eval()
    restored.load_state_dict(load(save(small.state_dict())))
    batch = next(iter(batches(tokenizer)))
    assert torch.equal(
        restored(batch["input_ids"], batch["attention_mask"]), small(batch["input_ids"], batch["attention_mask"])
    )
    names = [name for name in small.state_dict() if ".layer.0.output.dense." in name]
    assert [name.rpartition("dense.")[2] for name in names] == ["down.weight", "up.weight", "up.bias"]
    unchanged = [name for name in model.state_dict() if name in small.state_dict()]
    assert all(torch.equal(model.state_dict()[name], small.state_dict()[name]) for name in unchanged)
    assert "encoder.encoder.layer.0.output.LayerNorm.weight" in unchanged


@pytest.mark.parametrize("quantization", [None, Quantization()])
def test_exported_with_both_factors(model, tokenizer, tmp_path, quantization):
    small = apply(Svd([*ALL, "word_embeddings"], Fixed(4)), model, tokenizer)
    export(small, tmp_path / "m.onnx", TEXTS, quantization)
    ids = np.array([[2, 9, 7, 8, 3]])
    got = open_session(tmp_path / "m.onnx", 1)(Features(ids, np.ones_like(ids), None))[0]
    expected = small(torch.from_numpy(ids), torch.ones(1, 5, dtype=torch.long)).detach().numpy()
    assert got == pytest.approx(expected, abs=1e-4 if quantization is None else 0.5)
    if quantization is None:
        return
    graph = onnx.load(tmp_path / "m.onnx").graph
    large = [t for t in graph.initializer if np.prod(t.dims, initial=1) >= 16 * 4 and len(t.dims) == 2]
    vocabulary = tokenizer.get_vocab_size()
    integers = [list(t.dims) for t in large if t.data_type in (onnx.TensorProto.INT8, onnx.TensorProto.UINT8)]
    assert [vocabulary, 4] in integers and [4, 16] in integers  # table and projection
    assert len(integers) == len(large)


def test_bytes_shrink(model, tokenizer):
    small = apply(Svd(["word_embeddings"], Fixed(4)), model, tokenizer)
    vocabulary = tokenizer.get_vocab_size()
    saved = sum(p.numel() for p in model.parameters()) - sum(p.numel() for p in small.parameters())
    assert saved == vocabulary * 16 - (vocabulary + 16) * 4


def test_mode_is_kept_and_the_student_left_alone(model, tokenizer):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert apply(Svd(ALL, Fixed(2)), model.train(), tokenizer).training
    assert not apply(Svd(ALL, Fixed(2)), model.eval(), tokenizer).training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_a_pattern_that_names_nothing(spec, tokenizer):
    with pytest.raises(MillisError) as error:
        Svd(["ffn_inn"], Ratio(0.5)).spec(spec, tokenizer, [])
    assert str(error.value) == (
        "factorization.matrices holds 'ffn_inn', which names no matrix of this model (did you mean "
        "'ffn_in'?). Expected a role (query, key, value, attention_output, ffn_in, ffn_out, word_embeddings) or a name "
        "with wildcards, such as 'encoder.embeddings.word_embeddings'"
    )


def test_a_student_without_such_matrices(tokenizer):
    spec = static(vocab_size=9, size=4)
    message = "got a 'static' student. Choose factorization=vocabulary, which serves every student"
    with pytest.raises(MillisError, match=message):
        Svd(ALL, Ratio(0.5)).spec(spec, tokenizer, [])
    with pytest.raises(MillisError, match=message):
        apply(Svd(ALL, Ratio(0.5)), models.build(spec), tokenizer)


def test_an_encoder_decoder_is_told_what_makes_it_smaller(tokenizer):
    message = r"got a 'bart' encoder-decoder. Choose factorization=none, and make it smaller by the sizes of student="
    with pytest.raises(MillisError, match=message):
        Svd(ALL, Ratio(0.5)).spec(spec_of("bart"), tokenizer, [])


def test_names():
    assert Svd(ALL, Ratio(0.25)).describe() == "svd 0.25"
    assert Svd(ALL, Fixed(8), Fisher()).describe() == "fwsvd r8"
