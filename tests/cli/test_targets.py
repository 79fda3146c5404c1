"""What configs may name: nothing else runs, wherever it is named, and nothing that ships is refused."""

import pickle
from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra

from millis.cli import targets
from millis.cli.hydra_app import composed
from millis.cli.main import run
from millis.cli.targets import TRUSTED, instantiate
from millis.errors import MillisError


class Touch:
    """Leaves a file behind where it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.fixture
def run_compress(tmp_path, monkeypatch, capsys):
    """Runs `millis compress` and returns what it says; nothing may have been run by a pickle of the config's."""
    monkeypatch.setenv("MILLIS_OUTPUTS", str(tmp_path / "outputs"))
    monkeypatch.setattr("sys.argv", ["millis"])
    monkeypatch.delenv(TRUSTED, raising=False)
    (tmp_path / "evil.pt").write_bytes(pickle.dumps(Touch(tmp_path / "ran")))

    def go(*arguments):
        assert run("compress", [*arguments, "model=scratch", f"hydra.run.dir={tmp_path / 'run'}"]) == 1
        assert not (tmp_path / "ran").exists()
        return capsys.readouterr().err

    yield go
    GlobalHydra.instance().clear()


@pytest.mark.parametrize(
    ("override", "name"),
    [
        ("student._target_={}", "torch.load"),
        ("+student._args_=[{{_target_:{}}}]", "pickle.loads"),
        ("+hydra.callbacks.mine._target_={}", "os.system"),
        ("+backend.deep=[[{{a:{{_target_:{}}}}}]]", "builtins.eval"),
        ("+student.part={{_target_:{}}}", "subprocess.run"),
        ("data._target_={}", "millis.store.locked"),
    ],
)
def test_an_override_names_nothing_foreign(run_compress, override, name):
    message = run_compress(override.format(name))
    assert f"_target_={name}: expected a name within millis.applications, millis.backends, " in message
    assert message.endswith(f"set the environment variable {TRUSTED}=mypackage\n")


@pytest.mark.parametrize("group", ["student", "experiment", "logger", "hydra/callbacks"])
def test_a_folder_of_configs_names_nothing_foreign(run_compress, tmp_path, group):
    (tmp_path / "conf" / group).mkdir(parents=True)
    package = {"experiment": "student", "hydra/callbacks": "hydra.callbacks.mine"}.get(group, group)
    evil = f"# @package {package}\n_target_: torch.load\nf: {tmp_path / 'evil.pt'}\nweights_only: false\n"
    (tmp_path / "conf" / group / "evil.yaml").write_text(evil)
    message = run_compress("--config-dir", str(tmp_path / "conf"), f"{group}=evil")
    assert "._target_=torch.load: expected a name within" in message


def test_a_searched_sampler_and_a_log_handler_are_looked_at(run_compress):
    assert "hydra.sweeper.sampler._target_=os.system" in run_compress("+hydra.sweeper.sampler._target_=os.system")
    handler = "+hydra.job_logging.handlers.mine={class:subprocess.Popen,args:[touch]}"
    assert "hydra.job_logging.handlers.mine.class=subprocess.Popen: expected a name within logging" in run_compress(
        handler
    )


def test_a_name_hidden_behind_an_interpolation(run_compress):
    assert "student._target_=os.system" in run_compress("+name_of=os.system", "student._target_='${name_of}'")
    assert "student.part._target_=os.system" in run_compress("+student.part='${oc.create:{_target_:os.system}}'")


def test_what_a_name_leads_to_is_looked_at():
    node = {"_target_": "millis.backends.eager.torch.load", "f": "x"}
    with pytest.raises(MillisError, match=r"_target_=torch\.serialization\.load: expected a name within"):
        instantiate(node)
    with pytest.raises(MillisError, match=r"a\[0\]\._target_=torch\.serialization\.load"):
        instantiate({"a": [node]})


def test_own_code_is_trusted_by_name(monkeypatch, tmp_path):
    (tmp_path / "mypackage.py").write_text("def make(x):\n    return x + 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    node = {"_target_": "mypackage.make", "x": 1}
    with pytest.raises(MillisError, match=r"_target_=mypackage\.make: expected a name within"):
        instantiate(node)
    monkeypatch.setenv(TRUSTED, "other, mypackage")
    assert instantiate(node) == 2
    monkeypatch.setenv(TRUSTED, "mypack")
    with pytest.raises(MillisError, match="mypackage"):
        instantiate(node)


@pytest.mark.parametrize("command", ["compress", "sweep", "predict"])
def test_what_ships_composes(command):
    targets.check(composed(command, []))
