"""What an epoch of training costs, counted on the architecture: it foretells a student's seconds from its teacher's.

The unit is a token's way through one number of a matrix, forwards and backwards. Beside it stands what a step does
whatever is in the batch: AdamW updates every number that is trained, of tables too, and there is the loop around it.
Networks of few weights spend most of their time so.
"""

from collections.abc import Sequence
from math import ceil

import torch
from torch import nn

from millis import models
from millis.models.ngrams import LONGEST
from millis.models.spec import Spec
from millis.types import Text

UPDATE = 50.0
"""Of one number in one step. Measured on a CPU core, batches of 32 texts of 14 tokens: convolutions and BiLSTMs over
MiniLM's table took 0.04 to 0.12 of its step, and are foretold 0.04 to 0.09; with 0 in place of 50, 0.01 to 0.03."""

STEP = 5e7
"""Of one step, beside all numbers. Static vectors, which have next to none, took 0.23 of the epoch of a teacher of two
layers x 128 on a busy machine, and are foretold 0.2."""

SOLVED = 1000.0
"""Of one n-gram of a text and one class in a fit of n-grams, which are the some hundred products with a sparse matrix
of conjugate gradients. Measured so: 120 to 290 ns, where a token's way through a number of MiniLM took 0.19 ns."""

NGRAMS = 4.3  # of a character, which training texts have twice: those of the bundled corpus


def epoch(spec: Spec, tokens: int, steps: int, frozen: bool) -> float:
    """Of one epoch.

    Args:
        tokens: In all training texts.
        frozen: Whether tables are left as they are.
    """
    with torch.device("meta"):  # nothing but shapes
        model = models.build(spec)
    tables = {id(weight) for part in model.modules() if isinstance(part, nn.Embedding) for weight in part.parameters()}
    others = {
        id(weight): weight
        for part in model.modules()
        if not isinstance(part, nn.Embedding)
        for weight in part.parameters(recurse=False)
    }
    matrices = sum(weight.numel() for weight in others.values() if weight.dim() > 1)
    trained = [weight for weight in model.parameters() if not (frozen and id(weight) in tables)]
    return tokens * matrices + steps * (STEP + UPDATE * sum(weight.numel() for weight in trained))


def fit(texts: Sequence[Text], classes: int) -> float:
    """Of n-grams that are fitted at once."""
    characters = sum(min(LONGEST, len("".join(text))) for text in texts)
    return SOLVED * NGRAMS * characters * classes


def steps(rows: int, batch_size: int) -> int:
    """Of one epoch."""
    return ceil(rows / batch_size)
