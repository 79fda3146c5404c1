"""Smaller encoder-decoders, cut from larger ones."""

import pytest
import torch
from causal import writer
from sides import KINDS, after_each, answering, row, spec_of

from millis import models
from millis.errors import MillisError
from millis.models import stacks
from millis.models.encoder_decoder_student import EncoderDecoderStudent
from millis.models.spec import Shape
from millis.models.student import TransformerStudent
from millis.types import Output


def cut(student, teacher):
    model = models.build(student.spec(teacher.spec)).eval()
    student.initialise(model, teacher)
    return model


@pytest.mark.parametrize("kind", KINDS)
def test_a_student_of_full_size_says_exactly_what_the_teacher_does(kind):
    teacher = answering(kind, tied=kind != "bart", biased=kind == "marian")
    student = cut(EncoderDecoderStudent(), teacher)
    assert (after_each(student, *row()) == after_each(teacher, *row())).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("layers", "decoder_layers", "chosen"), [(2, 1, ([1, 2], [1])), ([0, 2], [0], ([0, 2], [0]))])
def test_dropped_layers_equal_the_teacher_run_without_them(kind, layers, decoder_layers, chosen):
    teacher = answering(kind)
    student = cut(EncoderDecoderStudent(layers, decoder_layers), teacher)
    assert (len(student.spec.encoder.heads), len(student.spec.decoder.heads)) == tuple(map(len, chosen))
    parts = stacks.find(teacher.spec.kind)
    for stack, kept in zip(parts.find(teacher.encoder), chosen, strict=True):
        blocks = stack.module.block if hasattr(stack.module, "block") else stack.module.layers
        if stack.distances is not None:  # the first block tells all others of distances
            blocks[kept[0]].layer[0].SelfAttention.relative_attention_bias = stack.distances
            blocks[kept[0]].layer[0].SelfAttention.has_relative_attention_bias = True
        for index in reversed(range(len(blocks))):
            if index not in kept:
                del blocks[index]
    torch.testing.assert_close(after_each(student, *row()), after_each(teacher, *row()), atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_silent_parts_are_the_first_to_go(kind):
    """Heads and neurons that write nothing; in T5 the same heads of all layers, of crossing attention any."""
    teacher = answering(kind)
    for side, stack in enumerate(stacks.find(teacher.spec.kind).find(teacher.encoder)):
        for index, layer in enumerate(stack.layers):
            layer.attention_output.weight[:, 6:12] = 0  # head 1
            layer.ffn_out.weight[:, index % 2 :: 2] = 0
            if side:
                layer.cross.output.weight[:, 6 * index : 6 * index + 6] = 0
    student = cut(EncoderDecoderStudent(heads=3, ffn_size=0.5), teacher)
    assert student.spec.decoder == Shape(6, (3, 3), (20, 20)) and student.spec.cross == (3, 3)
    torch.testing.assert_close(after_each(student, *row()), after_each(teacher, *row()), atol=1e-5, rtol=0)


def test_fresh_students_may_be_larger_and_copy_nothing():
    teacher = answering()
    student = cut(EncoderDecoderStudent(4, 3, heads=5, ffn_size=50, init="fresh"), teacher)
    assert student.spec.encoder == Shape(6, (5,) * 4, (50,) * 4) and student.spec.cross == (5,) * 3
    assert after_each(student, *row()).shape == after_each(teacher, *row()).shape
    assert models.read(student.spec.to_json()) == student.spec


def test_descriptions():
    spec = spec_of()
    assert EncoderDecoderStudent().describe(spec) == "encoder-decoder 3+2x24"
    small = EncoderDecoderStudent(2, 1, heads=2, ffn_size=0.5)
    assert small.describe(small.spec(spec)) == "encoder-decoder 2+1x24 h2 f20"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"layers": 4}, "student.layers=4 is larger than the teacher's 3: nothing there to copy."),
        ({"decoder_layers": 3}, "student.decoder_layers=3 is larger than the teacher's 2: nothing there to copy."),
        ({"decoder_layers": [2]}, r"decoder_layers=\[2\] asks for layer 2; the teacher has 2, counted from 0 to 1"),
        ({"heads": 5}, "student.heads=5 is larger than the teacher's 4"),
        ({"ffn_size": 41}, "student.ffn_size=41 is larger than the teacher's 40"),
        ({"init": "techer"}, "init='techer' is unknown; expected one of teacher, fresh .did you mean 'teacher'"),
        ({"decoder_layers": 0}, "student.decoder_layers=0 is no size"),
    ],
)  # fmt: skip
def test_faults(settings, message):
    with pytest.raises(MillisError, match=message):
        EncoderDecoderStudent(**settings).spec(spec_of())


def test_other_families_have_their_own_student():
    with pytest.raises(MillisError) as error:
        EncoderDecoderStudent().spec(writer().spec)
    assert str(error.value) == (
        "student=encoder_decoder is cut from an encoder-decoder, and the teacher is a 'llama' model: choose "
        "student=transformer, or a teacher such as model=scratch_seq2seq"
    )
    with pytest.raises(MillisError) as error:
        TransformerStudent().spec(spec_of())
    assert str(error.value) == (
        "student=transformer cuts an encoder or a decoder, and the teacher is a 't5' model of the family "
        "encoder_decoder: choose student=encoder_decoder, or student=teacher"
    )
    with pytest.raises(MillisError, match="student=encoder_decoder reads one text and writes another: expected"):
        EncoderDecoderStudent.check_outputs((Output("next", "token", 0, "next"),))
