"""Which part of a command line is at fault, and what to write instead."""

import pytest
from hydra.core.global_hydra import GlobalHydra

from millis.cli.faults import explain
from millis.cli.hydra_app import composed, launch


@pytest.fixture(autouse=True)
def quiet(monkeypatch, tmp_path):
    """Outputs in a folder of the test's own; Hydra's changes to the process undone; no teacher is trained."""
    monkeypatch.setenv("MILLIS_OUTPUTS", str(tmp_path / "outputs"))
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    monkeypatch.setattr("sys.argv", ["millis"])
    monkeypatch.setattr("millis.cli.sweep.Listener.start", lambda *_: pytest.fail("a sweep began"))
    yield
    GlobalHydra.instance().clear()


def fault(command, *arguments):
    """What the user reads."""
    with pytest.raises(BaseException) as caught:
        launch(command, lambda cfg: pytest.fail("the command ran"), list(arguments))
    return explain(caught.value, command, list(arguments))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["seed=0,1"], "Add -m to run them one after another, or write seed=[0,1] for a list, 'seed=\"0,1\"' for text"),
        (["data.path=/x/a=b"], "quote the value: 'data.path=\"/x/a=b\"'"),
        (["data.path=/x/100% (final)"], "quote the value: 'data.path=\"/x/100% (final)\"'"),
        (["data.path=/x/it's"], '''quote the value: "data.path=\\"/x/it's\\""'''),
        (["student"], "cannot read the override 'student': expected key=value"),
        (["data.path=/x"], "data.path belongs to data=hub or data=local, and data=bundled is chosen"),
        (["model.name=x"], "model.name belongs to model=hub, and model=minilm_l6 is chosen"),
        (["student.size=0.5"], "student.size belongs to student=static, and student=transformer is chosen"),
        (["+seed=3"], "seed is there already: write seed=... without the +"),
        (["student=null"], "student=null: expected one of bilstm, convolution, elastic, encoder_decoder, ngrams, stat"),
        (["recipe=jont"], "recipe has no 'jont' (did you mean 'joint'?). Expected one of: joint, to_latency"),
        (["debug=fsat"], "debug has no 'fsat' (did you mean 'fast'?). Expected one of: fast"),
        (["teacher.trainer=small"], "an option of trainer is chosen by trainer@teacher.trainer=small"),
        (["optimizer@optimizer=fast"], "optimizer is not used at 'optimizer'. Expected one of: optimizer"),
        (["study.n_trials=3"], "millis compress takes no 'study': it is of millis sweep"),
        (["--config-dir", "/nope"], "Additional config directory '/nope' not found"),
        (["data=local"], "data.path is needed: add data.path=... to the command"),
        (["-m", "seed=0,1,x"], "seed=x: expected a whole number from 0 to 4294967295"),
    ],
)  # fmt: skip
def test_a_fault_of_one_recipe(arguments, message):
    assert message in fault("compress", *arguments)


@pytest.mark.parametrize(
    ("command", "argument", "taken"),
    [
        (
            "benchmark",
            "logger=none",
            "millis benchmark takes no 'logger': it is of millis build, compress, sweep and train",
        ),
        ("cascade", "debug=fast", "millis cascade takes no 'debug': it is of millis compress, sweep and train"),
    ],
)
def test_a_group_that_other_commands_take(command, argument, taken):
    assert fault(command, argument) == taken


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["student=static,convolution", "study.n_trails=3"], "no config key 'study.n_trails' (did you mean 'study.n"),
        (["student=static,convolution", "foo.bar=1"], "no config key 'foo.bar'"),
        (["student=static,convolution", "trainer.max_epochs=ten"], "trainer.max_epochs=ten: expected a whole number"),
        (["student=static,convolutin"], "student has no 'convolutin' (did you mean 'convolution'?)"),
        (["student.layers=1,abc"], "student.layers=abc: expected a number or null"),
        (["student=static", "student.size=0.5,x"], "student.size=x: expected a number or null"),
        (["++study.space={trainer.max_epochs: {choice: [2, ten]}}"], "trainer.max_epochs=ten: expected a whole number"),
        (["study.space={a:{choice:[1]}}"], "study.space has no key 'a'; to add keys to it, write two plus signs"),
        (["study.n_trials=abc"], "study.n_trials=abc: expected a whole number from 1 on"),
        (["study/rungs=halving", "study.rungs.shares=[0.5,0.25]"], "study.rungs.shares=[0.5, 0.25]: expected shares"),
        (["study/rungs=halving", "study.rungs.shares=[0.5,2]"], "study.rungs.shares=[0.5, 2.0]: expected shares of"),
        (["study/rungs=halving", "study.rungs.kept=0"], "study.rungs.kept=0: expected a share above 0, up to 1"),
        (["study/rungs=halving", "study.rungs.kept=all"], "study.rungs.kept=all: expected a number"),
        (["study/rungs=halvin"], "study/rungs has no 'halvin' (did you mean 'halving'?)"),
        (["study.storage=mysql://u@h/db"], "the driver of the database at mysql://u@h/db is not installed"),
    ],
)  # fmt: skip
def test_a_fault_of_a_sweep(arguments, message):
    assert message in fault("sweep", *arguments)


def test_a_home_folder_is_meant(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    got = []
    launch("predict", lambda cfg: got.append((cfg.artifact, cfg.file)), ["artifact=~/a b", "file=~"])
    assert got == [(f"{tmp_path}/a b", str(tmp_path))]
    assert composed("predict", ["artifact=~/a"]).artifact == f"{tmp_path}/a"


def test_an_option_of_a_further_config_folder_is_one(tmp_path):
    (tmp_path / "student").mkdir()
    (tmp_path / "student" / "mine.yaml").write_text("_target_: millis.models.student.Teacher\n")
    got = []
    launch("compress", lambda cfg: got.append(cfg.student), ["--config-dir", str(tmp_path), "student=mine"])
    assert got[0]._target_.endswith(".Teacher")
