"""One recipe to be carried out: what is made, of which teacher, where it is kept, and how it is judged."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from millis.benchmark.latency import Options
from millis.budget import judged_quantile, latency_limits
from millis.described import described
from millis.pipeline.fine_tuning import FineTuning
from millis.pipeline.place import Place
from millis.pipeline.recipe import NOTHING, Recipe, is_none
from millis.pipeline.teacher import Teacher


@dataclass(frozen=True)
class Run:
    """What travels through the pipeline.

    Args:
        tuning: As it was asked for; `teacher` may have come of a search over others.
        benchmark: How latency is measured.
        budget: Limit → value (`millis.budget`).
        objectives: What a search goes by: a latency's quantile asks for as many requests as it takes.
    """

    recipe: Recipe
    tuning: FineTuning
    teacher: Teacher
    place: Place
    benchmark: Options = field(default_factory=Options)
    budget: Mapping[str, float | None] = field(default_factory=dict)
    objectives: tuple[str, ...] = ()

    def with_recipe(self, recipe: Recipe) -> Self:
        """The same for another recipe."""
        return replace(self, recipe=recipe)

    @property
    def described(self) -> dict[str, Any]:
        """All that a record needs to repeat it, JSON-able."""
        said, recipe = self.place.said, self.recipe.described
        none = {group: said[group] for group, made in recipe.items() if made == NOTHING and is_none(said.get(group))}
        return {
            **said,
            **self.tuning.described,
            **recipe,
            **none,  # as its config says it
            "benchmark": described(self.benchmark),
            "budget": dict(self.budget),
        }

    def repeated(self, number: int) -> Self:
        """The first measurement (0) or a further one: as many requests as the limits take, another seed."""
        names = [*latency_limits(self.budget), *self.objectives]
        quantile = judged_quantile(names, self.benchmark.quantile)
        return replace(self, benchmark=replace(self.benchmark, quantile=quantile, seed=self.benchmark.seed + number))
