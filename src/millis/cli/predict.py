"""`millis predict`: an artifact or an application answers texts from arguments, a file or standard input."""

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from io import TextIOWrapper
from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console

from millis.applications.runner import ApplicationRunner, load
from millis.errors import MillisError
from millis.report.text import wide_console
from millis.serving.writer import Reply, Writer
from millis.tasks.contract import Answer
from millis.types import Text, Timed
from millis.units import show

UNHURRIED_MS = 1e9
ENCODING = "utf-8-sig"  # the byte order mark that some editors write first belongs to no text


def run(cfg: DictConfig, texts: Sequence[str] = ()) -> list[Answer | Timed]:
    """Answer each text and say how long it took.

    Args:
        texts: From the command line, after `--`; else `cfg.texts`, `cfg.file` or standard input are read.
    """
    if not isinstance(cfg.artifact, str):
        raise MillisError("artifact names several: predict asks one of them. `millis benchmark` compares artifacts")
    console = wide_console()
    runner = load(Path(cfg.artifact), threads=cfg.threads, trust_code=cfg.trust_code)
    if cfg.deadline_ms is not None:
        runner.learn_times()  # before the first request, which would be late
    lines = texts or _lines(cfg)
    if isinstance(runner, Writer) and cfg.deadline_ms is None:
        return [_written(runner, line, console) for line in lines]
    if isinstance(runner, ApplicationRunner):
        asked = lines if texts else (line for line in lines if line.strip())  # of files, empty lines are none
        return [_by_step(runner, line, cfg.deadline_ms, console) for line in asked]
    pairs = runner.about.pairs
    answers: list[Answer | Timed] = []
    for line in lines:
        text = _text(line, pairs)
        started = time.perf_counter_ns()
        given: Answer | Timed = (
            runner.predict(text) if cfg.deadline_ms is None else runner.predict(text, cfg.deadline_ms)
        )
        elapsed = (time.perf_counter_ns() - started) / 1e6
        answer: Answer = given.answer if isinstance(given, Timed) else given
        if isinstance(given, Timed):
            elapsed = given.elapsed_ms
        answers.append(given)
        console.print(
            f"{show('latency_ms', elapsed):>10}  {answer.text}  {_path(given)}{line}",
            markup=False,
            emoji=False,
            soft_wrap=True,
        )
    return answers


def _by_step(runner: ApplicationRunner, line: str, deadline_ms: float | None, console: Console) -> Timed:
    """Print an application's answer, while it is written where it comes in pieces, and where the time went."""
    within_ms = UNHURRIED_MS if deadline_ms is None else deadline_ms
    if runner.writes:
        console.print(line, markup=False, emoji=False, soft_wrap=True, style="dim")
        timed = runner.write_within(line, within_ms, partial(_say, console))
        console.print(f"\n{show('latency_ms', timed.elapsed_ms)}  {_path(timed) if deadline_ms else ''}", style="dim")
        for note in timed.answer.notes:
            console.print(note, markup=False, emoji=False, soft_wrap=True, style="dim")
        return timed
    timed = runner.predict(line, within_ms)
    steps = ", ".join(f"{step} {took:.3f}" for step, took in timed.stage_ms.items())
    said = (
        f"{show('latency_ms', timed.elapsed_ms):>10}  {timed.answer.text}  {_path(timed) if deadline_ms else ''}{line}"
    )
    console.print(said, markup=False, emoji=False, soft_wrap=True)
    console.print(f"{'':>10}  ms: {steps}", style="dim", soft_wrap=True)
    return timed


def _say(console: Console, piece: str) -> bool:
    """Print a piece at once."""
    console.print(piece, markup=False, emoji=False, soft_wrap=True, end="")
    console.file.flush()
    return True


def _written(runner: Writer, prompt: str, console: Console) -> Reply:
    """Print what comes after a prompt while it is written, and how long it took."""
    clock = time.perf_counter_ns
    started = clock()
    writing = runner.begin(prompt)
    first = (clock() - started) / 1e6
    console.print(
        prompt, markup=False, emoji=False, soft_wrap=True, style="dim", end="\n" if runner.judged_as_written else ""
    )
    for piece in writing.stream():
        _say(console, piece)
    each = ((clock() - started) / 1e6 - first) / max(1, len(writing.tokens) - 1)
    told = f"{len(writing.tokens)} tokens, first {show('latency_ms', first)}, then {show('latency_ms', each)} each"
    console.print(f"\n{told} ({writing.ended})", style="dim")
    if cut := runner.cut(prompt):
        console.print(f"{cut} tokens of the prompt were not read: there was no room for them", style="dim")
    return runner.reply(writing)


def _path(answer: Answer | Timed) -> str:
    """What a deadline led to: `step 2/6  ` or, where it was not kept, `step 1/1, late  `."""
    if not isinstance(answer, Timed):
        return ""
    return f"step {answer.step}/{answer.steps}{'' if answer.kept else ', late'}  "


def _lines(cfg: DictConfig) -> Iterator[str]:
    if cfg.texts is not None:
        yield from [cfg.texts] if isinstance(cfg.texts, str) else cfg.texts
    elif cfg.file is not None:
        path = Path(cfg.file)
        if not path.is_file():
            raise MillisError(f"file={path} is not there; expected a file with one text a line")
        with path.open(encoding=ENCODING) as file:
            yield from _read(file, f"file={path}")
    else:
        if sys.stdin.isatty():
            print("reading texts from standard input, one a line; end with Ctrl-D", file=sys.stderr)
        if isinstance(sys.stdin, TextIOWrapper):
            sys.stdin.reconfigure(encoding=ENCODING, newline=None)
        yield from _read(sys.stdin, "standard input")


def _read(lines: Iterable[str], where: str) -> Iterator[str]:
    """Lines as they come; they end at LF, CR LF or CR alone, not at the separators within texts (U+2028, ...)."""
    try:
        for line in lines:
            yield line.removesuffix("\n")
    except UnicodeDecodeError as error:
        raise MillisError(f"{where} is not UTF-8 text: {error}") from error


def _text(line: str, pairs: bool) -> Text:
    if not pairs:
        return line
    first, tab, second = line.partition("\t")
    if not tab:
        raise MillisError(f"this artifact answers pairs: expected two texts with a tab between, got {line!r}")
    return first, second
