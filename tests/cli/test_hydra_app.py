"""Hydra in plain words: where configs lie, what the resolvers compute, and how faults are told."""

import errno
from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.utils import instantiate
from omegaconf import OmegaConf

from millis.cli import groups
from millis.cli.faults import explain
from millis.cli.hydra_app import composed, conf_dir, launch, register_resolvers
from millis.errors import MillisError

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def quiet(monkeypatch, tmp_path):
    """Outputs in a folder of the test's own; Hydra's changes to the process undone."""
    monkeypatch.setenv("MILLIS_OUTPUTS", str(tmp_path / "outputs"))
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    monkeypatch.setattr("sys.argv", ["millis"])
    yield
    GlobalHydra.instance().clear()


def test_a_checkout_has_its_configs_beside_the_sources():
    assert conf_dir() == ROOT / "conf"


def test_an_installed_package_has_them_inside(monkeypatch, tmp_path):
    (tmp_path / "millis" / "cli").mkdir(parents=True)
    monkeypatch.setattr(groups, "__file__", str(tmp_path / "millis" / "cli" / "hydra_app.py"))
    assert conf_dir() == tmp_path / "millis" / "conf"


def test_basename_is_the_last_part_of_any_path(monkeypatch, tmp_path):
    register_resolvers()
    monkeypatch.chdir(tmp_path)
    for path, name in [("a/b", "b"), ("a/b/", "b"), ("nyu-mll/glue", "glue"), (".", tmp_path.name)]:
        assert OmegaConf.create({"path": path, "name": "${millis.basename:${path}}"}).name == name


def test_a_searchs_fingerprint_is_of_all_but_where_things_lie():
    register_resolvers()

    def name(**changes):
        nodes = {"a": {"x": 1, "y": [1, 2]}, "b": 2, "c": "${b}", "paths": 0, "study": {"space": 1, "n_trials": 1}}
        made = OmegaConf.create({**nodes, **changes})
        made.study.name = "${millis.searched:study.space}"
        return made.study.name

    assert len(name()) == 6
    assert name() == name(paths=1) == name(study={"space": 1, "n_trials": 2})
    assert name() == name(a={"y": [1, 2], "x": 1})
    others = [name(a={"x": 2, "y": [1, 2]}), name(a={"x": 1, "y": [2, 1]}), name(b=3), name(c=None), name(d=1)]
    assert len({name(), *others, name(study={"space": 2, "n_trials": 1})}) == 7


def test_a_study_is_named_by_what_it_searches():
    def study(*overrides):
        return composed("sweep", list(overrides)).study.name

    assert study() == study("study.n_trials=99")  # more trials of the same study
    assert study() != study("seed=1") != study("task.max_length=64")
    assert study().startswith("bundled-")


def test_a_task_gets_its_config_and_its_own_faults_come_out(capsys):
    got = []
    launch("predict", lambda cfg: got.append((cfg.artifact, cfg.threads)), ["artifact=a", "threads=2"])
    assert got == [("a", 2)]

    def fails(_):
        raise ZeroDivisionError("a bug")

    with pytest.raises(ZeroDivisionError, match="a bug"):
        launch("predict", fails, ["artifact=a"])
    assert capsys.readouterr() == ("", "")


def fault(command, *arguments, task=lambda _: None):
    """What the user reads when the command line or the task is at fault."""
    with pytest.raises(BaseException) as caught:
        launch(command, task, list(arguments))
    return explain(caught.value, command, list(arguments))


def test_an_unknown_option_of_a_group():
    options = ", ".join(sorted(path.stem for path in (ROOT / "conf" / "student").glob("*.yaml")))
    assert fault("compress", "student=transfomer") == (
        f"student has no 'transfomer' (did you mean 'transformer'?). Expected one of: {options}"
    )


def test_an_unknown_group_and_an_unknown_key():
    tail = "`millis compress --cfg job` shows every key"
    assert fault("compress", "studnet=static") == f"no config key 'studnet' (did you mean 'student'?). {tail}"
    assert fault("compress", "trainer.max_epoch=3") == (
        f"no config key 'trainer.max_epoch' (did you mean 'trainer.max_epochs'?). {tail}"
    )
    assert fault("compress", "xyzzy=3") == f"no config key 'xyzzy'. {tail}"


def test_keys_of_the_chosen_option_are_known():
    assert "did you mean 'student.size'?" in fault("compress", "student=static", "student.sizes=64")


def test_an_unknown_key_is_found_though_another_override_is_wrong_too():
    message = fault("compress", "trainer.patienc=2", "distillation.alhpa=1")
    assert message.startswith("no config key 'trainer.patienc' (did you mean 'trainer.patience'?)")


def test_an_override_that_cannot_be_read():
    message = fault("compress", "trainer.max_epochs=[1")
    assert message.startswith("cannot read the override 'trainer.max_epochs=[1': ")
    assert "\n" not in message


def test_a_mandatory_key():
    assert fault("predict", task=lambda cfg: cfg.artifact) == (
        "artifact is needed: add artifact=... to the command (`millis predict --help` shows what there is)"
    )
    assert fault("compress", "data=local", task=lambda cfg: OmegaConf.to_container(cfg.data, resolve=True)) == (
        "data.path is needed: add data.path=... to the command (`millis compress --help` shows what there is)"
    )


def test_a_value_of_the_wrong_kind_reaches_its_own_check():
    assert fault("compress", "distillation.alpha=2", task=lambda cfg: instantiate(cfg.distillation)) == (
        "distillation.alpha=2: expected 0 (labels only) to 1 (teacher only)"
    )


def test_a_key_that_its_target_does_not_take():
    message = fault("compress", "+distillation.beta=2", task=lambda cfg: instantiate(cfg.distillation))
    assert "Distillation has no 'beta'" in message
    assert "\n" not in message


def test_an_outputs_folder_that_cannot_be_written(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("MILLIS_OUTPUTS", str(tmp_path / "file"))
    message = fault("train")
    assert message.startswith(f"cannot use {tmp_path / 'file'}")
    assert message.endswith(": Not a directory. Mend that or choose another folder with paths.outputs=...")


def test_a_bug_is_not_explained_away():
    assert explain(ZeroDivisionError("x"), "compress", []) is None
    assert explain(FileNotFoundError(errno.ENOENT, "No such file", "x"), "compress", []) is None


def test_the_cause_that_speaks_to_the_user_is_found():
    try:
        try:
            raise MillisError("the text")
        except MillisError as inner:
            raise RuntimeError("wrapped") from inner
    except RuntimeError as outer:
        assert explain(outer, "compress", []) == "the text"


def test_composing_works_after_a_fault():
    fault("compress", "xyzzy=3")
    cfg = composed("compress", ["student=static", "seed=3"])
    assert (cfg.seed, cfg.student._target_.rsplit(".", 1)[-1]) == (3, "StaticStudent")
