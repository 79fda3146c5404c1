"""`millis sweep` with its study on a database server."""

import re

import optuna
from tiny import TINY, millis, write_data

from millis.sweep.storage import Place
from millis.sweep.study import finished


def test_a_sweep_keeps_its_study_there_and_goes_on(postgresql, tmp_path, capsys):
    write_data(tmp_path / "data")
    recipe = ["student=static", "quantization=none,dynamic"]
    common = [*TINY, f"data.path={tmp_path / 'data'}", *recipe, f"study.storage='{postgresql}'", "study.name=ours"]
    assert millis(tmp_path, "sweep", *common, "study.n_trials=1") == 0
    assert millis(tmp_path, "sweep", *common, "study.n_trials=2") == 0
    told = re.findall(r"trial (\d)/(\d)", capsys.readouterr().err)
    assert told == [("1", "1"), ("2", "2")], "finished trials were kept and only the new one was run"
    assert len(finished(optuna.load_study(study_name="ours", storage=Place(postgresql).storage))) == 2
    assert not list(tmp_path.rglob("study.db"))
