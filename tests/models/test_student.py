"""Students: exact copies, layers dropped, and the most important parts kept."""

from dataclasses import replace

import pytest
import torch
from causal import CAUSAL, spec_of, writer
from hypothesis import given
from hypothesis import strategies as st

from millis import models
from millis.errors import MillisError
from millis.models import anatomy, student
from millis.models.spec import Shape
from millis.models.student import Teacher, TransformerStudent, uniform_layers


def cut(shape, teacher):
    small = models.build(shape.spec(teacher.spec)).eval()
    shape.initialise(small, teacher)
    return small


@pytest.mark.parametrize(
    ("teacher_layers", "count", "expected"),
    [
        (6, 3, [1, 3, 5]),
        (6, 2, [2, 5]),
        (6, 1, [5]),
        (6, 6, [0, 1, 2, 3, 4, 5]),
        (12, 4, [2, 5, 8, 11]),
        (6, 4, [1, 2, 4, 5]),
    ],
)
def test_uniform_layers_by_hand(teacher_layers, count, expected):
    assert uniform_layers(teacher_layers, count) == expected


@given(teacher_layers=st.integers(1, 48), data=st.data())
def test_uniform_layers_are_distinct_ascending_and_end_with_the_last(teacher_layers, data):
    count = data.draw(st.integers(1, teacher_layers))
    chosen = uniform_layers(teacher_layers, count)
    assert len(chosen) == count
    assert chosen == sorted(set(chosen))
    assert chosen[-1] == teacher_layers - 1


@pytest.mark.parametrize("model_type", anatomy.supported())
@pytest.mark.parametrize("shape", [TransformerStudent(), TransformerStudent(4, 32, 4, 64), Teacher()])
def test_full_size_student_has_exactly_the_teachers_logits(spec, model, batch, model_type, shape):
    teacher = model(spec(model_type))
    small, (ids, mask) = cut(shape, teacher), batch(3, 9)
    mask[1, 4:] = 0
    with torch.no_grad():
        assert torch.equal(small(ids, mask), teacher(ids, mask))
    assert small.spec == teacher.spec


def test_electra_with_projection_is_copied_exactly(spec, model, batch):
    config = {**spec("electra").encoder, "embedding_size": 16}
    teacher = model(spec("electra", encoder=config))
    small = cut(TransformerStudent(), teacher)
    with torch.no_grad():
        assert torch.equal(small(*batch(2, 6)), teacher(*batch(2, 6)))


@pytest.mark.parametrize(("layers", "chosen"), [(2, [1, 3]), ([0, 3], [0, 3]), ([2], [2])])
def test_dropped_layers_equal_the_teacher_run_without_them(teacher, batch, layers, chosen):
    """Reference: the teacher's own embeddings and blocks, called one after the other, without millis or HF's loop."""
    small, (ids, mask) = cut(TransformerStudent(layers), teacher), batch(2, 8)
    with torch.no_grad():
        states = teacher.encoder.embeddings(ids)
        for index in chosen:
            states = teacher.encoder.encoder.layer[index](states)
        expected = teacher.head(states.mean(dim=1))
        torch.testing.assert_close(small(ids, mask), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("model_type", anatomy.supported())
def test_silent_parts_are_the_first_to_go(spec, model, batch, model_type):
    """With every weight of two heads, 16 neurons and 8 channels at zero, cutting just these keeps heads and neurons."""
    teacher, parts = model(spec(model_type)), anatomy.find(model_type)
    with torch.no_grad():
        for layer in parts.layers(teacher.encoder):
            rows = anatomy.head_rows(torch.tensor([1, 2]), 8)
            for linear in (layer.query, layer.key, layer.value):
                linear.weight[rows] = 0
                if linear.bias is not None:
                    linear.bias[rows] = 0
            layer.attention_output.weight[:, rows] = 0
            layer.ffn_in.weight[16:32] = 0
            layer.ffn_out.weight[:, 16:32] = 0
    small, (ids, mask) = cut(TransformerStudent(heads=2, ffn_size=48), teacher), batch(2, 9)
    with torch.no_grad():
        torch.testing.assert_close(small(ids, mask), teacher(ids, mask), atol=1e-5, rtol=0)


def test_narrow_hidden_keeps_the_heaviest_channels(spec, model, batch):
    teacher, parts = model(spec()), anatomy.find("bert")
    light = list(range(0, 32, 4))
    with torch.no_grad():
        for table in parts.embeddings(teacher.encoder).tables:
            table.weight[:, light] *= 0.01
        for layer in parts.layers(teacher.encoder):
            for linear in (layer.query, layer.key, layer.value, layer.ffn_in):
                linear.weight[:, light] *= 0.01
            for linear in (layer.attention_output, layer.ffn_out):
                linear.weight[light] *= 0.01
    small = cut(TransformerStudent(hidden_size=24), teacher)
    kept = [channel for channel in range(32) if channel not in light]
    assert torch.equal(
        small.encoder.embeddings.word_embeddings.weight, teacher.encoder.embeddings.word_embeddings.weight[:, kept]
    )
    assert torch.equal(small.head.weight, teacher.head.weight[:, kept])
    query = small.encoder.encoder.layer[2].attention.self.query
    assert query.weight.shape == (32, 24)  # the four heads of 8 stay
    assert torch.equal(query.weight, teacher.encoder.encoder.layer[2].attention.self.query.weight[:, kept])
    assert small(*batch(2, 5)).shape == (2, 3)


@pytest.mark.parametrize("model_type", anatomy.supported())
def test_every_width_at_once_runs(spec, model, batch, model_type):
    """Hidden size 20 is no multiple of 3 heads of 8: heads are free of it."""
    small = cut(TransformerStudent(2, 20, 3, 40), model(spec(model_type)))
    assert small(*batch(2, 5)).shape == (2, 3)
    assert TransformerStudent().describe(small.spec) == "transformer 2x20 h3 f40"


def test_importance_by_hand(teacher):
    """Head 0: all values 1, all outputs 2: ||8 x 32 ones|| * ||32 x 8 twos|| = 16 * 32 = 512. Neuron alike."""
    layer = anatomy.find("bert").layers(teacher.encoder)[0]
    value, output = torch.nn.Linear(32, 32), torch.nn.Linear(32, 32)
    ffn_in, ffn_out = torch.nn.Linear(4, 2), torch.nn.Linear(2, 4)
    with torch.no_grad():
        value.weight.fill_(0), output.weight.fill_(0)
        value.weight[:8], output.weight[:, :8] = 1, 2
        ffn_in.weight.copy_(torch.tensor([[3.0, 4.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]]))
        ffn_out.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 6.0], [0.0, 8.0], [0.0, 0.0]]))
    layer = layer._replace(value=value, attention_output=output, ffn_in=ffn_in, ffn_out=ffn_out)
    assert student.head_importance(layer, 8).tolist() == [512.0, 0.0, 0.0, 0.0]
    assert student.neuron_importance(layer).tolist() == [5.0, 10.0]  # 5 * 1, 1 * 10


def test_fresh_student_may_be_larger_and_copies_nothing(teacher, batch):
    shape = TransformerStudent(6, 48, 8, 128, init="fresh")
    torch.manual_seed(1)
    small = models.build(shape.spec(teacher.spec))
    before = {name: value.clone() for name, value in small.state_dict().items()}
    shape.initialise(small, teacher)
    assert all(torch.equal(before[name], value) for name, value in small.state_dict().items())
    assert small(*batch(1, 4)).shape == (1, 3)
    assert shape.describe(small.spec) == "transformer 6x48 h8 f128"


def test_student_of_a_cut_teacher_keeps_its_uneven_sizes(spec, model):
    teacher = model(spec(shape={"head_size": 8, "heads": [4, 2, 3, 1], "ffn": [64, 8, 16, 24]}))
    small = cut(TransformerStudent(2), teacher)
    assert small.spec.shape == Shape(8, (2, 1), (8, 24))
    assert TransformerStudent().describe(small.spec) == "transformer 2x32 h1-2 f8-24"


def test_describe_a_usual_shape(teacher):
    config = {**teacher.spec.encoder, "hidden_size": 384}
    spec = replace(teacher.spec, encoder=config, shape=Shape(32, (12,) * 3, (1536,) * 3))
    assert TransformerStudent().describe(spec) == "transformer 3x384"
    assert Teacher().describe(spec) == "teacher"


def test_shares_are_counts_of_the_teachers(teacher):
    whole = teacher.spec.shape
    shares = TransformerStudent(layers=0.5, heads=0.5, ffn_size=0.25).spec(teacher.spec)
    counts = TransformerStudent(
        layers=len(whole.heads) // 2, heads=whole.heads[0] // 2, ffn_size=whole.ffn[0] // 4
    ).spec(teacher.spec)
    assert shares == counts
    assert TransformerStudent(layers=1.0, heads=1.0).spec(teacher.spec) == TransformerStudent().spec(teacher.spec)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"layers": 5},
            "student.layers=5 is larger than the teacher's 4: nothing there to copy. Choose at most 4, or "
            "student.init=fresh to start from random weights",
        ),
        ({"hidden_size": 33}, "student.hidden_size=33 is larger than the teacher's 32"),
        ({"heads": 5}, "student.heads=5 is larger than the teacher's 4"),
        ({"ffn_size": 65}, "student.ffn_size=65 is larger than the teacher's 64"),
        ({"layers": [0, 4]}, "student.layers=[0, 4] asks for layer 4; the teacher has 4, counted from 0 to 3"),
        (
            {"layers": 0},
            "student.layers=0 is no size; expected a count of at least 1, a share of the teacher's above 0",
        ),
        ({"layers": []}, "student.layers=0 is no size"),
        (
            {"init": "techer"},
            "student.init='techer' is unknown; expected one of teacher, fresh (did you mean 'teacher'?)",
        ),
    ],
)
def test_faults(teacher, settings, message):
    with pytest.raises(MillisError) as error:
        TransformerStudent(**settings).spec(teacher.spec)
    assert str(error.value).startswith(message)


def test_teacher_of_an_unknown_architecture_cannot_be_cut(teacher):
    spec = replace(teacher.spec, encoder={"model_type": "mpnet"})
    with pytest.raises(MillisError, match="cannot cut a 'mpnet' model"):
        TransformerStudent(2).spec(spec)


@pytest.mark.parametrize("kind", ["llama", "mistral", "qwen2"])
def test_heads_that_share_a_key_and_value_go_together(kind):
    """Reference: the teacher with the first group's way out at zero. Of its four heads two each share a key."""
    teacher = writer(kind)
    with torch.no_grad():
        for layer in anatomy.find(kind).layers(teacher.encoder):
            layer.attention_output.weight[:, :12] = 0
    small = cut(TransformerStudent(heads=2), teacher)
    layer = anatomy.find(kind).layers(small.encoder)[0]
    assert [tuple(one.weight.shape) for one in (layer.query, layer.key, layer.value)] == [(12, 24), (6, 24), (6, 24)]
    assert torch.equal(layer.key.weight, anatomy.find(kind).layers(teacher.encoder)[0].key.weight[6:])
    ids = torch.arange(3, 12).reshape(1, 9)
    with torch.no_grad():
        torch.testing.assert_close(small(ids, torch.ones_like(ids)), teacher(ids, torch.ones_like(ids)))


@pytest.mark.parametrize("kind", CAUSAL)
def test_what_writes_is_cut_and_stays_tied(kind):
    teacher = writer(kind)
    small = cut(TransformerStudent(1, 20, 2, 30), teacher)
    assert small.head["next"].weight is small.encoder.get_input_embeddings().weight
    assert small.head["next"].weight.shape == (48, 20) and small.spec.tied
    ids = torch.arange(3, 12).reshape(1, 9)
    changed = ids.clone()
    changed[0, 5] = 30
    with torch.no_grad():
        one, other = (small(given, torch.ones_like(ids)) for given in (ids, changed))
    assert torch.equal(one[0, :5], other[0, :5]) and not torch.equal(one[0, 5:], other[0, 5:])


def test_importance_of_shared_heads_by_hand():
    """Two heads of 1 read value 0, of norm 5; two read value 1, of norm 1. A gate counts with its neuron."""
    layer = anatomy.find("llama").layers(writer().encoder)[0]
    value, output = torch.nn.Linear(2, 2, bias=False), torch.nn.Linear(4, 2, bias=False)
    ffn_in, gate, ffn_out = (torch.nn.Linear(*size, bias=False) for size in ((1, 2), (1, 2), (2, 1)))
    with torch.no_grad():
        value.weight.copy_(torch.tensor([[3.0, 4.0], [1.0, 0.0]]))
        output.weight.copy_(torch.tensor([[1.0, 2.0, 3.0, 0.0], [0.0, 0.0, 4.0, 7.0]]))
        ffn_in.weight.copy_(torch.tensor([[3.0], [0.0]]))
        gate.weight.copy_(torch.tensor([[4.0], [2.0]]))
        ffn_out.weight.copy_(torch.tensor([[1.0, 10.0]]))
    layer = layer._replace(
        value=value, attention_output=output, ffn_in=ffn_in, ffn_gate=gate, ffn_out=ffn_out
    )  # fmt: skip
    assert student.head_importance(layer, 1).tolist() == [5.0, 10.0, 5.0, 7.0]
    assert student.neuron_importance(layer).tolist() == [5.0, 20.0]
    # By twos: 15 against 12, though the best head and the worst are together.
    assert student.largest(student.head_importance(layer, 1), 2, together=2).tolist() == [0, 1]


@pytest.mark.parametrize(("heads", "kept"), [(0.5, 2), (0.3, 2), (0.9, 4), (4, 4), (None, 4)])
def test_a_share_of_heads_is_rounded_to_whole_groups(heads, kept):
    assert TransformerStudent(heads=heads).spec(spec_of()).shape.heads == (kept, kept)


def test_a_part_of_a_group_is_refused():
    with pytest.raises(MillisError) as error:
        TransformerStudent(heads=3).spec(spec_of())
    assert str(error.value) == (
        "student.heads=3: in this teacher 2 heads each share a key and a value; expected a multiple of 2, for example 2"
    )
