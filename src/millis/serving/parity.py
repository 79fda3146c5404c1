"""Does an artifact answer as the model it was made from does? Compared on the same texts, request by request."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from millis.errors import MillisError
from millis.models.outputs import writes
from millis.serving.one_pass import Runner
from millis.types import Outputs, Text


def parity(
    runner: Runner, texts: Sequence[Text], got: Sequence[Outputs], expected: Sequence[Outputs]
) -> dict[str, float]:
    """Agreement of a runner with eager fp32.

    Args:
        runner: Its task makes answers of outputs.
        texts: N of them.
        got: The runner's outputs, [N].
        expected: The fp32 module's on the same texts, [N].

    Returns:
        `label_agreement`: share of texts (0..1) given the same answer, where the next token is asked for of positions
        at which the same one is likeliest; `max_abs_logit_difference`: the largest |Δlogit|.

    Raises:
        MillisError: different shapes, no texts, or logits that are not finite.
    """
    shapes = [[[array.shape for array in outputs] for outputs in rows] for rows in (got, expected)]
    if shapes[0] != shapes[1] or not texts or len(texts) != len(got):
        raise MillisError(
            f"parity got outputs of {len(got)} and {len(expected)} texts, the first of shapes {shapes[0][:1]} and "
            f"{shapes[1][:1]}: expected the same for each of {len(texts)} texts, at least one. Run both on the same "
            "texts"
        )
    if not all(np.isfinite(array).all() for rows in (got, expected) for outputs in rows for array in outputs):
        raise MillisError(
            "parity got logits that are not finite: the model is broken on this backend or diverged in training"
        )
    differences = [
        float(np.abs(one - other).max(initial=0))
        for pair in zip(got, expected, strict=True)
        for one, other in zip(*pair, strict=True)
    ]
    return {
        "label_agreement": float(np.mean(_same(runner, texts, got, expected))),
        "max_abs_logit_difference": max(differences),
    }


def same_texts(got: Sequence[str], expected: Sequence[str]) -> dict[str, float]:
    """`label_agreement` of written texts: the share (0..1) that are the same, [N] both, N at least 1."""
    return {"label_agreement": float(np.mean([one == other for one, other in zip(got, expected, strict=True)]))}


def _same(
    runner: Runner, texts: Sequence[Text], got: Sequence[Outputs], expected: Sequence[Outputs]
) -> Sequence[bool] | NDArray[np.bool_]:
    """Of each text, or position, whether it is given the same answer."""
    if writes(runner.manifest.signature.outputs):
        likeliest = (np.concatenate([rows[0].argmax(axis=-1).ravel() for rows in both]) for both in (got, expected))
        ours, theirs = likeliest
        return np.asarray(ours == theirs)
    encodings = [runner.tokenize(text) for text in texts]
    answers, others = (
        [runner.decode(*pair).value() for pair in zip(outputs, encodings, strict=True)] for outputs in (got, expected)
    )
    return runner.manifest.answers.same(answers, others)
