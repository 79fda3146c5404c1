"""Layer maps: which layer of the teacher each layer of the student learns from.

A map is the name of a function here, or a list of [student layer, teacher layer], counted from 0, or from -1 at the
last. M layers of the student, N of the teacher; `uniform`, `first` and `last` are the three of TinyBERT (1909.10351,
table 4), `skip` is PKD's.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from millis.data.batches import Rows, model_inputs
from millis.distillation.contract import Pair
from millis.distillation.term import check_choice
from millis.errors import MillisError
from millis.models.features import Feature, capture
from millis.models.student import uniform_layers

LayerMap = str | Sequence[Sequence[int]]
SAMPLE = 64  # rows on which layers are compared: some 1,000 tokens of short texts, more than the 384 channels of MiniLM
TOKENS = 8192  # at most, so that long texts do not fill the memory


def uniform(pair: Pair) -> list[tuple[int, int]]:
    """Every (N / M)-th layer, the last with the last: student layer m, from 1, learns from ⌈m · N / M⌉."""
    layers = uniform_layers(pair.teacher_sizes.layers, pair.student_sizes.layers)
    return list(enumerate(layers))


def skip(pair: Pair) -> list[tuple[int, int]]:
    """`uniform` without the student's last layer, which labels and logits teach (PKD-Skip, 1908.09355, section 3.2).

    12 → 6: the student's first five learn from 2, 4, 6, 8, 10, counted from 1.
    """
    if pair.student_sizes.layers < 2:
        raise MillisError(
            "layers=skip leaves out the student's last layer, and it has only one: choose layers=uniform, or a "
            "student of at least 2 layers"
        )
    return uniform(pair)[:-1]


def first(pair: Pair) -> list[tuple[int, int]]:
    """The teacher's lowest layers: m learns from m."""
    return [(layer, layer) for layer in range(_no_deeper(pair, "first"))]


def last(pair: Pair) -> list[tuple[int, int]]:
    """The teacher's topmost layers: m learns from N - M + m."""
    student = _no_deeper(pair, "last")
    return [(layer, pair.teacher_sizes.layers - student + layer) for layer in range(student)]


def similar(pair: Pair) -> list[tuple[int, int]]:
    """The order-keeping map along which the two models' hidden states agree most, as they are now.

    Agreement is linear CKA over the tokens of 64 training rows, which widths and rotations do not touch; the map is
    the strictly increasing one of the largest sum. It says what a student's layers compute, not which they were copied
    from: three layers of MiniLM taken from 1, 3, 5 agree most with its 0, 1, 2 before any training. With fresh weights
    there is nothing to recognise: take `uniform` there.
    """
    _no_deeper(pair, "similar")
    return list(enumerate(best_monotone(similarities(pair))))


MAPS: dict[str, Callable[[Pair], list[tuple[int, int]]]] = {
    function.__name__: function for function in (uniform, skip, first, last, similar)
}


def check(layers: LayerMap) -> None:
    """Refuse what is no layer map, whatever the models.

    Raises:
        MillisError: an unknown name, or a list that does not hold pairs.
    """
    if isinstance(layers, str):
        check_choice("layers", layers, MAPS)
        return
    if not layers or any(isinstance(entry, str | int) or len(entry) != 2 for entry in layers):
        raise MillisError(
            f"distillation: layers={_plain(layers)!r}: expected one of {', '.join(MAPS)}, or pairs [student layer, "
            "teacher layer] such as [[0, 1], [2, 5]]"
        )


def matched(layers: LayerMap, pair: Pair) -> list[tuple[int, int]]:
    """[(student layer, teacher layer)], counted from 0.

    Raises:
        MillisError: a layer that does not exist, or a map that does not fit the two models.
    """
    if isinstance(layers, str):
        return MAPS[layers](pair)
    return [
        (
            _existing(int(student), pair.student_sizes.layers, "student", layers),
            _existing(int(teacher), pair.teacher_sizes.layers, "teacher", layers),
        )
        for student, teacher in layers
    ]


def linear_cka(left: Tensor, right: Tensor) -> float:
    """Linear centred kernel alignment, ‖XᵀY‖² / (‖XᵀX‖ · ‖YᵀY‖) with columns centred (1905.00414, section 3).

    Args:
        left, right: X [n, D], Y [n, D'].

    Returns:
        In [0, 1]; 1 where one is a rotated, scaled copy of the other.
    """
    x, y = (features.double() - features.double().mean(dim=0) for features in (left, right))
    norm = torch.linalg.matrix_norm
    return float(norm(x.T @ y) ** 2 / (norm(x.T @ x) * norm(y.T @ y)).clamp(min=torch.finfo(torch.double).tiny))


def similarities(pair: Pair) -> Tensor:
    """Linear CKA of every student layer with every teacher layer, [M, N]."""
    every = max(1, len(pair.rows) // SAMPLE)
    index = list(range(0, len(pair.rows), every))[:SAMPLE]
    ours = _hidden_states(pair.student, pair.student_sizes.layers, pair.rows, index)
    theirs = _hidden_states(pair.teacher, pair.teacher_sizes.layers, pair.teacher_rows, index)
    return torch.tensor([[linear_cka(left, right) for right in theirs] for left in ours])


def best_monotone(similarity: Tensor) -> list[int]:
    """The strictly increasing g: 0..M-1 → 0..N-1 with the largest Σ similarity[m, g(m)]; ties go to lower layers.

    Dynamic programming over best[m, n], the largest sum of the first m + 1 rows where g(m) ≤ n.
    """
    values = similarity.tolist()
    students, teachers = len(values), len(values[0])
    best = [[float("-inf")] * teachers for _ in range(students)]
    for m in range(students):
        for n in range(m, teachers):
            before = 0.0 if m == 0 else best[m - 1][n - 1]
            best[m][n] = max(best[m][n - 1] if n > m else float("-inf"), before + values[m][n])
    chosen, n = [0] * students, teachers - 1
    for m in reversed(range(students)):
        while n > m and best[m][n - 1] == best[m][n]:
            n -= 1
        chosen[m], n = n, n - 1
    return chosen


@torch.no_grad()
def _hidden_states(model: Any, layers: int, rows: Rows, index: list[int]) -> list[Tensor]:
    """Hidden states of the sampled rows' tokens after each block, L tensors [n, D], on the CPU."""
    batch = rows.__getitems__(index)
    tokens = batch["attention_mask"].flatten().nonzero().flatten()
    tokens = tokens[:: -(-len(tokens) // TOKENS)]
    device, training = next(model.parameters()).device, model.training
    wanted = [Feature("hidden", layer) for layer in range(layers)]
    model.eval()
    with capture(model, wanted) as features:
        model(**{name: value.to(device) for name, value in model_inputs(batch).items()})
    model.train(training)
    return [features[feature].flatten(0, 1)[tokens.to(device)].float().cpu() for feature in wanted]


def _no_deeper(pair: Pair, name: str) -> int:
    """The student's layers, which are at most the teacher's."""
    student, teacher = pair.student_sizes.layers, pair.teacher_sizes.layers
    if student > teacher:
        raise MillisError(
            f"layers={name} gives every student layer a teacher layer of its own, but the student has {student} and "
            f"the teacher {teacher}: choose layers=uniform, which repeats layers, or name the pairs"
        )
    return student


def _existing(layer: int, count: int, owner: str, layers: LayerMap) -> int:
    if not -count <= layer < count:
        raise MillisError(
            f"distillation: layers={_plain(layers)} names layer {layer} of the {owner}, which has {count}: expected 0 "
            f"to {count - 1}, or -1 for the last"
        )
    return layer % count


def _plain(layers: LayerMap) -> Any:
    return layers if isinstance(layers, str) else [list(e) if isinstance(e, Sequence) else e for e in layers]
