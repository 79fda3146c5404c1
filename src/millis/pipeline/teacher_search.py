"""Teacher search: successive halving over ways to fine-tune (Jamieson & Talwalkar 2016, 1502.07943, with two rungs).

Every way is trained for a share of its steps, the best of them for all, and the best of those is the teacher. All are
ordinary teachers, kept under their own fingerprints, so a search that was killed goes on, and one that is given again
costs nothing. The validation split judges; the test split is not read.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

from millis.errors import MillisError
from millis.pipeline.fine_tuning import FineTuning
from millis.training.fit import Fitted
from millis.training.length import Length

Train = Callable[[FineTuning], Fitted]


@dataclass(frozen=True)
class TeacherSearch:
    """Which ways there are, and what they may take.

    Args:
        rates: Factors of `teacher.optimizer.lr`.
        freeze_embeddings: Values of `teacher.optimizer.freeze_embeddings`.
        share: Of `teacher.trainer.max_epochs.steps` in the first rung, or of a fixed number of epochs.
        finalists: How many ways reach the second rung.
        budget_s: Seconds of training after which no other way is begun: half of them for the first rung. The configured
            way comes first in both and is not left out.

    Raises:
        MillisError: values without sense.
    """

    rates: Sequence[float] = (1.0, 0.5, 2.0)
    freeze_embeddings: Sequence[bool] = (True, False)
    share: float = 0.3
    finalists: int = 2
    budget_s: float = 1200

    def __post_init__(self) -> None:
        if not self.rates or min(self.rates) <= 0 or not self.freeze_embeddings:
            raise MillisError("teacher.search: expected at least one rate, all above 0, and one freeze_embeddings")
        if not 0 < self.share <= 1 or self.finalists < 1 or not self.budget_s > 0:
            raise MillisError(
                f"teacher.search: share={self.share}, finalists={self.finalists}, budget_s={self.budget_s}: expected a "
                "share above 0 up to 1, at least one finalist and seconds above 0"
            )

    def __call__(self, tuning: FineTuning, train: Train) -> FineTuning:
        """The best way found to fine-tune.

        Args:
            tuning: As it is configured: the way that comes first.
            train: Fine-tunes a teacher, or reads how that went.
        """
        ways = list(self._ways(tuning))
        looks = [self._first_look(way) for way in ways]
        first = self._rung(ways, looks, train, self.budget_s / 2)
        ahead = sorted(range(len(first)), key=lambda index: (-first[index].quality, index))[: self.finalists]
        spent = sum(fitted.seconds for fitted in first)
        chosen = [ways[index] for index in ahead]
        last = self._rung(chosen, chosen, train, self.budget_s - spent)
        best = max(range(len(last)), key=lambda index: (last[index].quality, -index))
        return chosen[best]

    def _ways(self, tuning: FineTuning) -> Iterator[FineTuning]:
        """The configured one first."""
        plain = replace(tuning, search=None)
        lr, frozen = plain.optimizer.lr, plain.optimizer.freeze_embeddings
        for rate, freeze in dict.fromkeys([(1.0, frozen), *product(self.rates, self.freeze_embeddings)]):
            yield plain.at_rate(lr * rate, freeze_embeddings=freeze)

    def _first_look(self, way: FineTuning) -> FineTuning:
        length = way.trainer.max_epochs
        if isinstance(length, int):
            short: int | Length = max(1, round(self.share * length))
        else:
            short = replace(
                length,
                steps=max(1, round(self.share * length.steps)),
                least=1,
                most=max(1, round(self.share * length.most)),
            )
        return replace(way, trainer=replace(way.trainer, max_epochs=short))

    @staticmethod
    def _rung(ways: Sequence[FineTuning], trained: Sequence[FineTuning], train: Train, seconds: float) -> list[Fitted]:
        """How the trainings went that were begun within `seconds`, at least one."""
        found: list[Fitted] = []
        for way, tuning in zip(ways, trained, strict=True):
            if found and sum(fitted.seconds for fitted in found) >= seconds:
                break
            found.append(train(tuning))
            optimizer = way.optimizer
            words = f"lr {optimizer.lr:g}, {'frozen' if optimizer.freeze_embeddings else 'free'} embeddings"
            epochs = f"{found[-1].epochs} epoch{'s' * (found[-1].epochs != 1)}"
            print(
                f"  teacher search  {words}  {epochs}  validation {found[-1].quality:.2f}", file=sys.stderr, flush=True
            )
        return found
