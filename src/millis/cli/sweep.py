"""`millis sweep`: compress over a search space and report the frontier. The sweeper calls `run` for every trial."""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, open_dict

from millis.cli.capable import capable
from millis.cli.recipes import inputs_of, recipe_of, run_of, study_of
from millis.errors import MillisError
from millis.pipeline.compress import TRAINED, Compressed, Ended, Skipped, compete, reference_records
from millis.pipeline.forecast import planned
from millis.pipeline.recipe import Recipe
from millis.pipeline.records import read_record, record_path
from millis.pipeline.run import Run
from millis.pipeline.rungs import Bracket
from millis.pipeline.study import Outcome, conclude
from millis.record import Record
from millis.report.headline import headline
from millis.report.records import print_notes
from millis.report.tables import frontier_rows
from millis.report.text import print_frontier, wide_console
from millis.sweep.listener import Agenda, Begun
from millis.sweep.result import ENDED
from millis.sweep.space import Space
from millis.sweep.study import finished
from millis.units import show

SHOWN = ("quality", "latency_p50_ms", "speedup")  # of every trial, whatever the search is for


def run(cfg: DictConfig) -> dict[str, Any]:
    """One trial: what the sampler is told, and where the record lies."""
    made = run_of(cfg)
    outcome = compete(made, Bracket.of(made, study_of(cfg)))
    if not isinstance(outcome, Compressed):
        return _untrained(outcome, made, {*cfg.study.directions, "latency_p50_ms"})
    record = outcome.record
    known = {**record.metrics, "quality": record.metrics[f"validation_{record.quality}"]}
    attrs = {"name": record.name, "record": record.id, "training_s": outcome.seconds}
    return {
        "metrics": {name: known[name] for name in {*cfg.study.directions, *SHOWN}},
        "constraints": outcome.excess,
        "attrs": attrs,
    }


def _untrained(outcome: Skipped | Ended, run: Run, asked: set[str]) -> dict[str, Any]:
    """What the sampler is told of a recipe that was not trained to its end."""
    known, attrs = dict(outcome.metrics), {"name": outcome.name, "training_s": 0.0}
    if isinstance(outcome, Ended):
        asked, attrs = {*asked, TRAINED}, {**attrs, "training_s": outcome.seconds, ENDED: outcome.stopped.reason}
        if (quality := run.teacher.inputs.metric_of(outcome.stopped.quality)) is not None:
            known["quality"] = quality
    metrics = {name: known[name] for name in asked if name in known}
    return {"metrics": metrics, "constraints": outcome.excess, "attrs": attrs}


class Listener:
    """Shows how a sweep goes, and concludes it: the teacher first, a line a trial, at the end the frontier."""

    def __init__(self) -> None:
        self.console = wide_console(stderr=True)
        self.best: list[tuple[float, float, str]] = []

    def possible(self, config: Any, space: Space) -> Space:
        """Without what cannot answer as the task asks."""
        return capable(config, space, self.say)

    def start(self, config: Any, recipes: Sequence[tuple[Mapping[str, Any], Any]], begun: Begun) -> Agenda:
        """Train the teacher where needed, measure it and the untouched baseline; plan what the time is enough for."""
        cfg = config.copy()
        with open_dict(cfg):
            del cfg["hydra"]
        self.say(f"study {cfg.study.name}: {cfg.study.n_trials} trials; data {cfg.data.name}")
        self.study = study_of(cfg)
        self.study.check(cfg.task.metric, inputs_of(cfg).metric.better)
        self.run = run_of(cfg, student=False)
        self.references = reference_records(self.run)
        self.reading = self.references[0].reading
        for record in self.references:
            self.say(f"  {_line(record)}")
        made = [(params, _recipe_of(trial)) for params, trial in recipes]
        before = [_recipe_of(trial) for _, trial in begun.recipes]
        agenda, words = planned(self.study, self.run.teacher, made, begun.trials, before)
        self.say(words)
        self.agenda = agenda
        return agenda

    def told(
        self,
        trial_number: int,
        n_trials: int,
        params: dict[str, Any],
        metrics: dict[str, float] | None,
        error: str | None,
    ) -> None:
        """One line a trial, with the best so far."""
        recipe = ", ".join(f"{key.rsplit('.', 1)[-1]}={_short(value)}" for key, value in params.items())
        head = f"trial {trial_number + 1}/{n_trials}  {recipe}"
        latency = next((name for name in self.study.directions if name.startswith("latency")), "latency_p50_ms")
        if error is not None or metrics is None:
            self.say(f"{head}\n  failed: {(error or 'no result').splitlines()[0]}")
        elif TRAINED in metrics:
            self.say(f"{head}\n  ended after {metrics[TRAINED]:.0%} of its training, {show(latency, metrics[latency])}")
        elif "quality" not in metrics:
            self.say(f"{head}\n  over budget before training ({show(latency, metrics[latency])}): skipped")
        else:
            self.best.append((metrics["quality"], metrics[latency], recipe))
            self.say(f"{head}\n  {self._numbers(metrics, latency)}   {self._best_so_far(latency)}")

    def end(self, study: Any) -> None:
        """Measure the contenders side by side; print and write everything."""
        trials = finished(study)
        inputs = self.run.teacher.inputs
        ids = [trial["attrs"]["record"] for trial in trials if "record" in trial["attrs"]]
        records = [read_record(inputs, id) for id in ids if record_path(inputs.cache, id).is_file()]
        if gone := len(ids) - len(records):
            self.say(f"{gone} finished trials are left out: their records are no longer under {inputs.cache}")
        states = Counter(map(_state, trials))
        running = sum(trial.state.name == "RUNNING" for trial in study.get_trials(deepcopy=False))  # by other workers
        if (left := self.agenda.n_trials - len(trials) - running) > 0 and self.study.timeout_s is not None:
            why = "those before took longer than foretold" if self.study.rungs is None else "rungs left others to train"
            self.say(
                f"{left} trials of the plan were not begun: {why}, and study.timeout_s={self.study.timeout_s:g} is "
                "spent. The same command goes on with them"
            )
        self.say("measuring the teacher, the baseline and the frontier side by side ...")
        notes = [*_skip_notes(trials), *_end_notes(trials)]
        outcome = conclude(self.run, self.study, [*self.references, *records], notes, states)
        report(outcome)

    def say(self, text: str) -> None:
        """To standard error: standard output is for the result."""
        self.console.print(text, soft_wrap=True)

    def _numbers(self, metrics: dict[str, float], latency: str) -> str:
        speedup = show("speedup", metrics["speedup"])
        return f"validation {self._quality(metrics['quality'])}, {show(latency, metrics[latency])}, {speedup}"

    def _best_so_far(self, latency: str) -> str:
        best = max(self.best, key=lambda found: (self.reading.sign * found[0], *found[1:]))
        fastest = min(self.best, key=lambda found: found[1])
        return (
            f"(best quality {self._quality(best[0])} at {show(latency, best[1])}; "
            f"fastest {show(latency, fastest[1])} at {self._quality(fastest[0])})"
        )

    def _quality(self, value: float) -> str:
        return show("quality", value, self.reading.unit)


def _recipe_of(trial: Any) -> Recipe | None:
    """The recipe of a trial's config; None where it cannot be, which the trial says itself."""
    with suppress(MillisError):
        return None if trial is None else recipe_of(trial)
    return None


def report(outcome: Outcome) -> None:
    """The table, its headline, what the budget picks, and the files."""
    console = wide_console()
    print_frontier(frontier_rows(outcome.records, outcome.frontier), console)
    if (sentence := headline(outcome.records, outcome.frontier)) is not None:
        console.print(sentence, soft_wrap=True, highlight=False)
    print_notes(outcome.records[0].notes, console)
    if outcome.choice is not None:
        console.print(outcome.choice.sentence(), soft_wrap=True, highlight=False)
    files = {
        "chart": outcome.folder / "frontier.html",
        "records": outcome.folder / "records.jsonl",
        "study": outcome.folder / "study.db",
        "artifacts": outcome.folder / "artifacts",
        "W&B run": outcome.run,
    }
    for name, path in files.items():
        if path is not None and Path(path).exists():
            console.print(f"{name:<10} {_from_here(Path(path))}", soft_wrap=True, highlight=False)


def _skip_notes(trials: list[dict[str, Any]]) -> list[str]:
    """What latency-first saved: trials never trained, and the time the trained ones took on average."""
    skipped = [trial for trial in trials if trial["skipped"] and ENDED not in trial["attrs"]]
    whole = [trial["attrs"] for trial in trials if ENDED not in trial["attrs"]]
    trained = [attrs["training_s"] for attrs in whole if attrs.get("training_s")]
    if not skipped:
        return []
    saved = f", about {len(skipped) * sum(trained) / len(trained):.0f} s of training saved" if trained else ""
    return [f"{len(skipped)} of {len(trials)} trials were over the budget before training and skipped{saved}"]


def _state(trial: dict[str, Any]) -> str:
    if trial["error"]:
        return "failed"
    return "ended" if ENDED in trial["attrs"] else "skipped" if trial["skipped"] else "trained"


def _end_notes(trials: list[dict[str, Any]]) -> list[str]:
    """Which trainings rungs ended, and where."""
    ended = [f"{trial['attrs']['name']} {trial['attrs'][ENDED]}" for trial in trials if ENDED in trial["attrs"]]
    return [f"{len(ended)} of {len(trials)} trainings were ended at a rung: {'; '.join(ended)}"] if ended else []


def _line(record: Record) -> str:
    metrics, quality = record.metrics, f"validation_{record.quality}"
    return (
        f"{record.name}: validation {show(quality, metrics[quality], record.reading.unit)}, "
        f"{show('latency_p50_ms', metrics['latency_p50_ms'])}, {show('speedup', metrics['speedup'])}"
    )


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _from_here(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
