"""Layer maps counted by hand; the learned one against brute force and against the layers a student was cut from."""

from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from millis.distillation.layer_map import best_monotone, check, linear_cka, matched, similarities
from millis.errors import MillisError
from millis.models.student import TransformerStudent


def of(student, teacher):
    return SimpleNamespace(student_sizes=SimpleNamespace(layers=student), teacher_sizes=SimpleNamespace(layers=teacher))


@pytest.mark.parametrize(
    ("layers", "student", "teacher", "expected"),
    [
        ("uniform", 3, 6, [(0, 1), (1, 3), (2, 5)]),
        ("uniform", 4, 12, [(0, 2), (1, 5), (2, 8), (3, 11)]),  # TinyBERT4: 3, 6, 9, 12 counted from 1
        ("uniform", 4, 6, [(0, 1), (1, 2), (2, 4), (3, 5)]),
        ("uniform", 3, 2, [(0, 0), (1, 1), (2, 1)]),  # a deeper student hears a layer twice
        ("skip", 6, 12, [(0, 1), (1, 3), (2, 5), (3, 7), (4, 9)]),  # PKD-Skip: 2, 4, 6, 8, 10 counted from 1
        ("first", 3, 6, [(0, 0), (1, 1), (2, 2)]),
        ("last", 3, 6, [(0, 3), (1, 4), (2, 5)]),
        ([[-1, -1]], 3, 6, [(2, 5)]),
        ([[0, 5], [2, -6]], 3, 6, [(0, 5), (2, 0)]),
    ],
)
def test_maps_by_hand(layers, student, teacher, expected):
    assert matched(layers, of(student, teacher)) == expected


@given(st.sampled_from(["uniform", "first", "last"]), st.integers(1, 12), st.integers(0, 12))
def test_a_map_keeps_order_and_names_layers_that_exist(name, student, more):
    found = matched(name, of(student, student + more))
    assert [ours for ours, _ in found] == list(range(student))
    theirs = [layer for _, layer in found]
    assert sorted(set(theirs)) == theirs
    assert 0 <= theirs[0] <= theirs[-1] < student + more


@given(st.integers(1, 4), st.integers(0, 3), st.integers(0, 99))
def test_the_best_monotone_map_against_brute_force(students, more, seed):
    similarity = torch.from_numpy(np.random.default_rng(seed).integers(-3, 4, (students, students + more)) / 1.0)
    found = best_monotone(similarity)
    sums = {
        chosen: sum(similarity[m, n].item() for m, n in enumerate(chosen))
        for chosen in combinations(range(students + more), students)
    }
    assert sums[tuple(found)] == max(sums.values())  # a KeyError if it were not strictly increasing


def test_cka_by_hand():
    # Centred columns x = (1, -1), y = (3, -3): ‖xᵀy‖² = 36, ‖xᵀx‖ ‖yᵀy‖ = 2 · 18: one line, similarity 1.
    assert linear_cka(torch.tensor([[1.0], [-1.0]]), torch.tensor([[5.0], [-1.0]])) == pytest.approx(1)
    # x = (1, 0, -1) and y = (1, -2, 1) are orthogonal.
    assert linear_cka(torch.tensor([[1.0], [0.0], [-1.0]]), torch.tensor([[1.0], [-2.0], [1.0]])) == pytest.approx(0)
    # x = (1, -1, 0), y = (1, 0, -1): 1² / (2 · 2).
    assert linear_cka(torch.tensor([[1.0], [-1.0], [0.0]]), torch.tensor([[1.0], [0.0], [-1.0]])) == pytest.approx(0.25)


def test_cka_sees_no_rotation_no_scale_and_no_shift():
    generator = torch.Generator().manual_seed(0)
    states = torch.randn(40, 6, generator=generator)
    rotation = torch.linalg.qr(torch.randn(6, 6, generator=generator)).Q
    assert linear_cka(states, 3 * states @ rotation + 5) == pytest.approx(1, abs=1e-5)
    assert linear_cka(states, torch.randn(40, 9, generator=generator)) < 0.5
    assert linear_cka(states, torch.zeros(40, 2)) == 0


@pytest.mark.parametrize("layers", [[0, 1], [0, 1, 2]])
def test_the_similar_map_finds_the_layers_that_a_student_was_cut_from(pair, encoder, layers):
    # The lowest layers see the same input as in the teacher; a student cut from 0, 1 computes them exactly.
    teacher = encoder(layers=4)
    cut = TransformerStudent(layers=layers)
    student = encoder(layers=len(layers), seed=1)
    student.spec = cut.spec(teacher.spec)
    cut.initialise(student, teacher)
    found = pair(student, teacher)
    similarity = similarities(found)
    assert similarity.shape == (len(layers), 4)
    assert torch.diagonal(similarity).tolist() == pytest.approx([1] * len(layers), abs=1e-4)
    assert matched("similar", found) == list(enumerate(layers))


def test_measuring_similarity_leaves_the_models_as_they_were(pair, encoder):
    student = encoder(layers=2).train()
    before = {name: value.clone() for name, value in student.state_dict().items()}
    first, second = similarities(pair(student)), similarities(pair(student))
    assert torch.equal(first, second)  # without dropout, though the student trains
    assert student.training
    assert all(torch.equal(value, before[name]) for name, value in student.state_dict().items())


@pytest.mark.parametrize(
    ("layers", "student", "message"),
    [
        (
            [[0, 6]], 3,
            "distillation: layers=[[0, 6]] names layer 6 of the teacher, which has 6: expected 0 to 5, or -1 for the "
            "last",
        ),
        (
            [[-4, 0]], 3,
            "distillation: layers=[[-4, 0]] names layer -4 of the student, which has 3: expected 0 to 2, or -1 for the "
            "last",
        ),
        (
            "last", 7,
            "layers=last gives every student layer a teacher layer of its own, but the student has 7 and the teacher 6:"
            " choose layers=uniform, which repeats layers, or name the pairs",
        ),
        (
            "skip", 1,
            "layers=skip leaves out the student's last layer, and it has only one: choose layers=uniform, or a student "
            "of at least 2 layers",
        ),
    ],
)  # fmt: skip
def test_maps_that_do_not_fit(layers, student, message):
    with pytest.raises(MillisError) as error:
        matched(layers, of(student, 6))
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (
            "unifrom",
            "distillation: layers='unifrom' is unknown; expected one of uniform, skip, first, last, similar (did you "
            "mean 'uniform'?)",
        ),
        (
            [0, 1],
            "distillation: layers=[0, 1]: expected one of uniform, skip, first, last, similar, or pairs [student layer,"
            " teacher layer] such as [[0, 1], [2, 5]]",
        ),
        (
            [],
            "distillation: layers=[]: expected one of uniform, skip, first, last, similar, or pairs [student layer, "
            "teacher layer] such as [[0, 1], [2, 5]]",
        ),
    ],
)
def test_what_is_no_map(layers, message):
    with pytest.raises(MillisError) as error:
        check(layers)
    assert str(error.value) == message
