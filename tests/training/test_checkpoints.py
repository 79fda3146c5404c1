"""Checkpoints on a disk that fills up."""

import errno
from pathlib import Path

import pytest
import torch

from millis.errors import MillisError
from millis.training.checkpoints import AtomicCheckpoints


def test_a_checkpoint_comes_back(tmp_path):
    AtomicCheckpoints().save_checkpoint({"weight": torch.arange(3)}, tmp_path / "a.ckpt")
    assert torch.load(tmp_path / "a.ckpt", weights_only=True)["weight"].tolist() == [0, 1, 2]


def test_a_full_disk_leaves_the_checkpoint_that_was_there(tmp_path, monkeypatch):
    path = tmp_path / "a.ckpt"
    AtomicCheckpoints().save_checkpoint({"epoch": 1}, path)

    def full(self: Path, data: bytes) -> int:
        with self.open("wb") as file:
            file.write(data[:10])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(MillisError, match=r"cannot write .*a\.ckpt: No space left on device"):
        AtomicCheckpoints().save_checkpoint({"epoch": 2}, path)
    assert torch.load(path, weights_only=True) == {"epoch": 1}
    assert [found.name for found in tmp_path.iterdir()] == ["a.ckpt"]
