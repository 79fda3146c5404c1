"""The command line: usage, exit codes, and what reaches a command."""

import sys
from types import SimpleNamespace

import pytest
from hydra.core.global_hydra import GlobalHydra

import millis
from millis.cli.main import COMMANDS, main, run, usage
from millis.errors import MillisError


@pytest.fixture(autouse=True)
def quiet(monkeypatch, tmp_path):
    """Outputs in a folder of the test's own; Hydra's changes to the process undone."""
    monkeypatch.setenv("MILLIS_OUTPUTS", str(tmp_path))
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    monkeypatch.setattr("sys.argv", ["millis"])
    yield
    GlobalHydra.instance().clear()


@pytest.fixture
def command(monkeypatch):
    """Puts a stand-in in a command's place; it notes what it is called with."""

    def replace(name, action=lambda cfg: None):
        calls = []

        def called(cfg, **given):
            calls.append((cfg, given))
            return action(cfg)

        monkeypatch.setitem(sys.modules, f"millis.cli.{name}", SimpleNamespace(run=called))
        return calls

    return replace


def call(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["millis", *arguments])
    with pytest.raises(SystemExit) as left:
        main()
    return left.value.code


def test_usage_lists_each_command_on_one_line():
    lines = usage().splitlines()
    for name, text in COMMANDS.items():
        assert [line for line in lines if line.split()[:1] == [name]] == [f"  {name:<9}  {text}"]
    assert max(map(len, lines)) <= 110


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help_is_printed_without_a_fault(monkeypatch, capsys, arguments):
    monkeypatch.setattr(sys, "argv", ["millis", *arguments])
    main()
    assert capsys.readouterr() == (usage() + "\n", "")


def test_version(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["millis", "--version"])
    main()
    assert capsys.readouterr().out == f"millis {millis.__version__}\n"


def test_an_unknown_command_and_its_nearest(monkeypatch, capsys):
    assert call(monkeypatch, "compres") == 2
    assert capsys.readouterr().err == ("error: no command 'compres' (did you mean 'compress'?). See `millis --help`\n")
    assert call(monkeypatch, "--hepl") == 2


def test_overrides_reach_the_command(command, monkeypatch):
    calls = command("report")
    assert call(monkeypatch, "report", "records=a.jsonl", "budget.size_bytes=5") == 0
    ((cfg, given),) = calls
    assert (cfg.records, cfg.budget.size_bytes, given) == ("a.jsonl", 5, {})


def test_what_follows_two_dashes_is_text_for_predict(command):
    calls = command("predict")
    assert run("predict", ["artifact=a", "--", "where is my parcel?", "x=1", "--", "{"]) == 0
    ((cfg, given),) = calls
    assert (cfg.artifact, given) == ("a", {"texts": ["where is my parcel?", "x=1", "--", "{"]})


def test_other_commands_take_no_texts(command, capsys):
    calls = command("report")
    assert run("report", ["--", "hello"]) == 2
    assert capsys.readouterr().err == "error: millis report takes no texts after `--`; only predict does\n"
    assert not calls


def test_a_fault_of_the_users_is_one_sentence(command, capsys):
    def refuses(_):
        raise MillisError("got 1, expected 2: add 1")

    command("report", refuses)
    assert run("report", []) == 1
    assert capsys.readouterr().err == "error: got 1, expected 2: add 1\n"


def test_a_fault_of_the_command_line_is_one_sentence_too(command, capsys):
    command("report")
    assert run("report", ["recods=x"]) == 2
    assert capsys.readouterr().err == (
        "error: no config key 'recods' (did you mean 'records'?). `millis report --cfg job` shows every key\n"
    )


def test_a_missing_mandatory_key(command, capsys):
    command("predict", lambda cfg: cfg.artifact)
    assert run("predict", []) == 2
    assert capsys.readouterr().err == (
        "error: artifact is needed: add artifact=... to the command (`millis predict --help` shows what there is)\n"
    )


def test_an_interrupt_says_how_to_go_on(command, capsys):
    def interrupted(_):
        raise KeyboardInterrupt

    command("report", interrupted)
    assert run("report", []) == 130
    assert capsys.readouterr().err == "interrupted; run the same command again to go on from here\n"


def test_a_bug_keeps_its_traceback(command):
    def bug(_):
        raise ZeroDivisionError("a bug")

    command("report", bug)
    with pytest.raises(ZeroDivisionError, match="a bug"):
        run("report", [])


def test_a_commands_help_does_not_load_the_command(command, capsys):
    calls = command("compress")
    with pytest.raises(SystemExit) as left:
        run("compress", ["--help"])
    assert left.value.code == 0
    assert "student:" in capsys.readouterr().out
    assert not calls
