"""Checkpoints on a disk that fills up."""

import errno
from pathlib import Path

import pytest
import torch

from millis.errors import MillisError
from millis.training.checkpoints import AtomicCheckpoints, resumable


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


def saved(folder, best):
    folder.mkdir()
    AtomicCheckpoints().save_checkpoint(
        {"callbacks": {"best": {"best_model_path": best}, "a": {}}}, folder / "last.ckpt"
    )
    return folder


def test_a_training_goes_on_from_checkpoints_that_are_whole(tmp_path):
    folder = saved(tmp_path / "a", str(tmp_path / "a" / "best.ckpt"))
    assert resumable(folder) is None, "its best weights are gone"
    (folder / "best.ckpt").touch()
    assert resumable(folder) == folder / "last.ckpt"
    assert resumable(saved(tmp_path / "b", "")) == tmp_path / "b" / "last.ckpt", "no epoch was the best so far"
    moved = folder.rename(tmp_path / "moved")
    assert resumable(moved) is None, "what was best is not known by another name"


def test_a_training_begins_anew_where_there_is_no_checkpoint_or_a_damaged_one(tmp_path):
    assert resumable(tmp_path) is None
    (tmp_path / "last.ckpt").write_bytes(b"cut")
    assert resumable(tmp_path) is None
