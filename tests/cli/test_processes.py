"""Training in two processes from the command line: the followers must not run the command, nor wait for its locks."""

import re

import pytest
from tiny import TINY, millis, write_data

from millis.training import processes


def test_train_and_compress_in_two_processes(tmp_path, capsys, monkeypatch):
    started = []
    original = processes._Follower.__init__
    monkeypatch.setattr(
        processes._Follower, "__init__", lambda self, *given: (started.append(given), original(self, *given))[1]
    )
    write_data(tmp_path / "data")
    common = [*TINY, f"data.path={tmp_path / 'data'}", "teacher.trainer.max_epochs=1"]
    ddp = ["teacher.trainer.devices=2", "teacher.trainer.strategy=ddp", "trainer.devices=2", "trainer.max_epochs=1"]
    # With features from a cache on disk, and a logger that only one of the two may write.
    recipe = ["student.layers=1", "distillation=hidden", "logger=csv"]
    assert millis(tmp_path, "compress", *common, *ddp, *recipe) == 0
    output = capsys.readouterr()
    assert len(started) == 2, "one for the teacher, one for the student"
    assert output.err.count("epoch 1/1") == 2, "rank 0 alone tells how it goes"
    assert len(re.findall("transformer 1x32.*epoch", output.err)) == 1 and "transformer" in output.out
    curves = list((tmp_path / "outputs" / "csv").rglob("metrics.csv"))
    assert len(curves) == 2


@pytest.mark.parametrize("command", ["train", "compress"])
def test_a_strategy_that_there_is_not(tmp_path, capsys, command):
    write_data(tmp_path / "data")
    assert millis(tmp_path, command, *TINY, f"data.path={tmp_path / 'data'}", "teacher.trainer.strategy=fsdp") in (1, 2)
    error = capsys.readouterr().err
    assert "error: trainer.strategy=fsdp: expected one of auto, ddp" in error and "Traceback" not in error
