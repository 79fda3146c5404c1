"""Second try: a teacher that learned nothing is trained once more, at a quarter of its learning rate.

A rate that suits single texts can be too high for pairs. Then the loss stays where it began, and more epochs do not
help (Mosbach et al. 2021, 2006.04884, section 5). Both tries are ordinary teachers, kept under their own fingerprints.
"""

from math import sqrt

import numpy as np

from millis.errors import MillisError
from millis.metrics import kinds
from millis.metrics.contract import items
from millis.pipeline.fine_tuning import FineTuning
from millis.pipeline.inputs import Inputs
from millis.sweep.baselines import majority
from millis.training.fit import Fitted

SLOWER = 0.25
FEWEST_TEXTS = 100  # of validation: by fewer, a teacher that learned is not told from one that did not


def learned(fitted: Fitted, inputs: Inputs) -> bool:
    """Whether validation is better than always answering the most frequent answer, by more than a standard error.

    The error is that of the share of the most frequent answer. True where that cannot be judged: fewer than
    `FEWEST_TEXTS` texts, a metric that is undefined for a constant answer, or one that judges what is written, which
    says nothing of a model while it trains.
    """
    if inputs.task.judged_as_written:
        return True
    validation = inputs.dataset.validation.references
    references = items(inputs.task.items(validation, validation, validation)[1])
    if references.dtype == float:  # as models learn them: training judges those
        (learned_as,) = inputs.task.references.targets([], validation, [])
        references = learned_as.astype(float)
    constant = majority(references, kinds(inputs.task.metrics().values()))
    if len(references) < FEWEST_TEXTS:
        return True
    share = float(np.mean([answer == reference for answer, reference in zip(constant, references, strict=True)]))
    try:
        floor = inputs.score(constant.tolist(), references.tolist())
    except MillisError:
        return True
    return fitted.quality > floor + 100 * sqrt(share * (1 - share) / len(references))


def slower(tuning: FineTuning) -> FineTuning | None:
    """The second try; None where the first one did not train."""
    return tuning.at_rate(tuning.optimizer.lr * SLOWER) if tuning.trainer.trains else None


def reason(first: Fitted, tuning: FineTuning) -> str:
    """What is said before the second training."""
    return (
        f"  teacher: validation {first.quality:.1f} is no better than answering all texts alike: training again at "
        f"teacher.optimizer.lr={tuning.optimizer.lr * SLOWER:g}"
    )


def note(first: Fitted, second: Fitted, tuning: FineTuning) -> str:
    """What a reader of the teacher's record should know."""
    lr = tuning.optimizer.lr
    best = "the second is taken" if second.quality > first.quality else "the first is taken; do not trust its students"
    return (
        f"teacher: at teacher.optimizer.lr={lr:g} it learned nothing (validation {first.quality:.1f}, no better than "
        f"answering all texts alike), so it was trained again at {lr * SLOWER:g} (validation {second.quality:.1f}): "
        f"{best}"
    )
