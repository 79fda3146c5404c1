"""The cached teacher against the teacher itself, asked one text at a time."""

import numpy as np
import pytest
import torch
from labelled import said
from specs import static
from torch import nn

from millis.distillation import teacher_cache
from millis.distillation.teacher_cache import BATCH, teacher_logits
from millis.errors import MillisError

N = 2 * BATCH + 7  # two full batches and a remainder


@pytest.fixture
def rows():
    generator = np.random.default_rng(0)
    return [generator.integers(1, 12, generator.integers(1, 30)).tolist() for _ in range(N)]


def test_logits_lie_in_row_order(rows, encoded, bag, tmp_path):
    teacher = bag(num_labels=3)
    (found,) = teacher_logits(teacher, encoded(rows, classes=3), 0, tmp_path / "teacher" / "logits.npz").logits
    assert found.shape == (N, 3)
    assert found.dtype == np.float32
    with torch.no_grad():
        expected = torch.cat([teacher(torch.tensor([row]), torch.ones(1, len(row))) for row in rows])
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-6)


def test_a_batch_has_the_logits_of_its_rows():
    logits = np.arange(8, dtype=np.float32).reshape(4, 2)
    found = said(logits).batch(torch.tensor([3, 0]))
    assert {name: value.tolist() for name, value in found.items()} == {"logits": [[6.0, 7.0], [0.0, 1.0]]}


def test_pairs_are_told_apart(encoded, tmp_path):
    class CountsSeconds(nn.Module):
        def __init__(self):
            super().__init__()
            self.spec = static(vocab_size=12, size=2)
            self.weight = nn.Parameter(torch.ones(()))

        def forward(self, input_ids, attention_mask, token_type_ids):
            return self.weight * token_type_ids.sum(1, keepdim=True).float()

    split = encoded([[2, 5, 3], [2, 5, 3, 6, 3]], token_types=[[0, 0, 1], [0, 0, 0, 1, 1]], classes=1)
    (found,) = teacher_logits(CountsSeconds(), split, 0, tmp_path / "l.npz").logits
    assert found.tolist() == [[1.0], [2.0]]


def test_the_teacher_is_evaluated_without_dropout(rows, encoded, bag, tmp_path):
    teacher = bag()
    teacher.head = nn.Sequential(nn.Dropout(0.9), teacher.head)
    teacher.train()
    (one,) = teacher_logits(teacher, encoded(rows), 0, tmp_path / "one.npz").logits
    (two,) = teacher_logits(teacher, encoded(rows), 0, tmp_path / "two.npz").logits
    assert np.array_equal(one, two)


def test_a_second_call_does_not_run_the_teacher(rows, encoded, bag, tmp_path):
    (first,) = teacher_logits(bag(), encoded(rows), 0, tmp_path / "logits.npz").logits
    broken = bag(seed=1)
    broken.forward = lambda **_: pytest.fail("the teacher ran again")
    (second,) = teacher_logits(broken, encoded(rows), 0, tmp_path / "logits.npz").logits
    assert np.array_equal(second, first)


def test_a_teacher_that_fails_leaves_no_cache(rows, encoded, bag, tmp_path, monkeypatch):
    write = np.savez

    def full(file, *part, **whole):
        if whole:
            raise OSError(28, "No space left on device")
        write(file, *part)

    with monkeypatch.context() as patch, pytest.raises(MillisError, match=r"cannot write .*logits\.npz: No space left"):
        patch.setattr(np, "savez", full)
        teacher_logits(bag(), encoded(rows), 0, tmp_path / "logits.npz")
    assert not (tmp_path / "logits.npz").exists()
    teacher = bag()
    teacher.forward = lambda **_: pytest.fail("what was made is not made again")
    (found,) = teacher_logits(teacher, encoded(rows), 0, tmp_path / "logits.npz").logits
    assert found.shape == (N, 2)
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []


@pytest.mark.parametrize("batches", [1, 2])
def test_shards_change_nothing(rows, encoded, bag, tmp_path, monkeypatch, batches):
    (whole,) = teacher_logits(bag(), encoded(rows), 0, tmp_path / "whole.npz").logits
    monkeypatch.setattr(teacher_cache, "SHARD", batches)
    assert len(teacher_cache.shards_of(encoded(rows).lengths)) == {1: 3, 2: 2}[batches]
    (parts,) = teacher_logits(bag(), encoded(rows), 0, tmp_path / "parts.npz").logits
    assert np.array_equal(parts, whole)
    assert (tmp_path / "parts.npz").read_bytes() == (tmp_path / "whole.npz").read_bytes()
