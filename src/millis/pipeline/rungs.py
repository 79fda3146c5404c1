"""The trainings of a search as its rungs see them: a file each says how far it came; the rule judges by all of them.

Files lie beside the study, so a search that is resumed, and workers that share a folder, judge by what there is. They
hold validation quality as trainings log it, which compares trainings alone, and costs that are measured before.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from millis.benchmark.latency import Measurement
from millis.described import TARGET, described
from millis.pipeline import keys
from millis.pipeline.measure import recipe_name
from millis.pipeline.plan import Plan
from millis.pipeline.run import Run
from millis.pipeline.study import Study
from millis.store import cached, write_json
from millis.sweep.rungs import Course, Rungs
from millis.training.fit import Fitted
from millis.training.rungs import Stopped

QUALITY = "quality"
LESS = {"minimize": 1.0, "maximize": -1.0}
"""What makes less of an objective better."""


@dataclass(frozen=True)
class Bracket:
    """All trainings of a search, under one rule.

    Args:
        folder: Of their files.
        directions: As a study's.
    """

    rule: Rungs
    folder: Path
    directions: Mapping[str, str]

    @classmethod
    def of(cls, run: Run, study: Study) -> "Bracket | None":
        """That of a study; None where it has no rungs."""
        folder = run.place.outputs / "sweep" / study.name / "rungs"
        return None if study.rungs is None else cls(study.rungs, folder, study.directions)

    def entrant(self, run: Run, planned: Plan, measured: Measurement) -> "Entrant | None":
        """A recipe's training; None where it cannot be judged before it has ended.

        That is so where latency or shape depend on the trained weights, and where an objective is no measurement.
        """
        others = {name: LESS[way] for name, way in self.directions.items() if name != QUALITY}
        open_ended = run.recipe.weights_decide or not planned.trains
        if open_ended or len(others) == len(self.directions) or not others.keys() <= measured.metrics.keys():
            return None
        costs = {name: sign * measured.metrics[name] for name, sign in others.items()}
        course = Course(
            recipe_name(run.recipe, planned), planned.fingerprint, described(run.recipe.student)[TARGET], costs
        )
        return Entrant(self, self.folder / f"{keys.course(planned.fingerprint, run.recipe)}.json", course)


@dataclass(frozen=True)
class Entrant:
    """One recipe's training among the others. Several recipes may share one, and differ in what they cost.

    It is the judge of that training (`millis.training.rungs.Judge`).

    Args:
        path: Of its file.
        course: As it stood before.
    """

    bracket: Bracket
    path: Path
    course: Course

    @property
    def shares(self) -> tuple[float, ...]:
        """The rungs."""
        return tuple(self.bracket.rule.shares)

    def begin(self) -> None:
        """Judge what was trained so far, by this recipe or by another of the same weights.

        Raises:
            Stopped: it stays where it is.
        """
        alike = [one for one in (self._known(), *self._others()) if one.weights == self.course.weights and one.reached]
        if alike and all(one.final is None for one in alike):
            furthest = max((one.reached for one in alike), key=len)
            if (reason := self._judged(replace(self.course, reached=furthest))) is not None:
                raise Stopped(reason, *furthest[-1])

    def __call__(self, share: float, quality: float) -> str | None:
        """The rule's verdict at a rung; what was reached is kept."""
        lower = [rung for rung in self._known().reached if rung[0] < share]
        return self._judged(replace(self.course, reached=[*lower, (share, quality)]))

    def end(self, fitted: Fitted) -> None:
        """Keep how a training ended."""
        write_json(self.path, asdict(replace(self._known(), final=fitted.quality, stopped="")))

    def _judged(self, course: Course) -> str | None:
        reason = self.bracket.rule.verdict(course, self._others())
        write_json(self.path, asdict(replace(course, stopped=reason or "")))
        return reason

    def _known(self) -> Course:
        return course_of(self.path) if self.path.is_file() else self.course

    def _others(self) -> list[Course]:
        return [course_of(path) for path in sorted(self.bracket.folder.glob("*.json")) if path != self.path]


def course_of(path: Path) -> Course:
    """How far a training came.

    Raises:
        Damaged: the file does not say.
    """
    with cached(path):
        said = json.loads(path.read_text(encoding="utf-8"))
        return Course(**{**said, "reached": [(share, quality) for share, quality in said["reached"]]})
