"""`millis <command> key=value ...`: finds the command, runs it, and turns faults into one sentence."""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from millis import __version__
from millis.cli.signals import Ending, leave_within, stoppable
from millis.errors import MillisError, nearest

if TYPE_CHECKING:
    from omegaconf import DictConfig

SIGNALLED = 128  # a status above it names the signal that ended a command
COMMANDS = {
    "train": "fine-tune a teacher",
    "compress": "carry out one recipe: teacher, student, artifact, record",
    "pick": "cut the student that keeps a budget out of elastic weights",
    "build": "make an application of parts that are trained and compressed",
    "cascade": "make one artifact of a fast and an accurate one",
    "benchmark": "measure artifacts side by side on this machine",
    "sweep": "search many recipes for the accuracy-versus-latency frontier",
    "report": "draw records as one HTML page",
    "predict": "answer texts with an artifact and say how long each took",
    "serve": "answer requests over HTTP with artifacts",
    "agent": "measure on this machine what training machines send",
}


def main() -> None:
    """Entry point of the console script."""
    arguments = sys.argv[1:]
    command = arguments[0] if arguments else "--help"
    if command in ("-h", "--help"):
        print(usage())
    elif command == "--version":
        print(f"millis {__version__}")
    elif command in COMMANDS:
        status = run(command, arguments[1:])
        if status > SIGNALLED:
            leave_within(status)
        sys.exit(status)
    else:
        print(f"error: no command {command!r}{nearest(command, COMMANDS)}. See `millis --help`", file=sys.stderr)
        sys.exit(2)


def usage() -> str:
    """The commands, a line each."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {text}" for name, text in COMMANDS.items()]
    return "\n".join(
        [
            "millis: how fast can this language model get on my hardware,",
            "and what does each millisecond cost in quality?",
            "",
            "usage: millis COMMAND [key=value ...]",
            "",
            *lines,
            "",
            "`millis COMMAND --help` shows groups and options; `--cfg job` the config it would run; `-m` runs many.",
        ]
    )


def run(command: str, arguments: list[str]) -> int:
    """Run `command` under Hydra; returns the exit code."""
    from millis.cli.faults import explain
    from millis.cli.hydra_app import launch

    given: dict[str, Any] = {}
    if "--" in arguments:  # `millis predict artifact=DIR -- "a text" "another"`: what follows is data, not overrides
        cut = arguments.index("--")
        given, arguments = {"texts": arguments[cut + 1 :]}, arguments[:cut]
        if command != "predict":
            print(f"error: millis {command} takes no texts after `--`; only predict does", file=sys.stderr)
            return 2

    def task(cfg: "DictConfig") -> Any:
        return import_module(f"millis.cli.{command}").run(cfg, **given)  # seconds to import; `--help` is spared them

    ending = Ending()
    try:
        with stoppable() as ending:
            if command in ("agent", "serve"):
                given["ending"] = ending
            launch(command, task, arguments)
    except MillisError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(ending.sentence, file=sys.stderr)
        return ending.status
    except Exception as error:
        message = explain(error, command, arguments)
        if message is None:
            raise
        print(f"error: {message}", file=sys.stderr)
        return 2
    return 0
