"""What a sentence is worth for a summary: a linear function of numbers and of a vector that are known of it.

    worth = weights · [features; vector · √D]

Features are how near the sentence is to the middle of its text (the centroid of Radev et al. 2004, "Centroid-based
summarization of multiple documents", of sentence vectors in place of TF-IDF), how early it stands in its section and
in the text (Edmundson 1969), and how long it is. The vector is that of the cheap model, or that of the larger one
where the sentence was read closely; each has weights of its own. They are those of a ridge regression to the F of words
(ROUGE-1) that a sentence shares with the summary, less the mean of its text: a linear probe of sentence vectors. So no
encoder is trained on summaries, and what a summary of one's own texts is like is learned in seconds.

Axes here: N sentences of a text, F features, D of a vector.
"""

from collections.abc import Sequence

import numpy as np

from millis.applications.sentences import Sentence, chinese_characters
from millis.applications.summarisation.choosing import Numbers, standardised

FEATURES = ("centroid", "earliness", "earliness_in_section", "length", "shortness")
SHORT = 5  # words; a Chinese character counts as half of one


def centroid(vectors: Numbers) -> Numbers:
    """The middle of [N, D], of length 1; zeros where the vectors cancel out."""
    mean: Numbers = vectors.mean(axis=0)
    length = float(np.linalg.norm(mean))
    return mean / np.float32(length) if length > 1e-9 else mean


def features(sentences: Sequence[Sentence], vectors: Numbers, places: Sequence[int]) -> Numbers:
    """Features of sentences, [N, F], each in deviations from the mean but for the last.

    Args:
        sentences: All of a text, in order: where one stands is said among all, whichever have vectors.
        vectors: Of length 1, [N, D].
        places: Of the sentences that these are of, ascending, [N].
    """
    standing = np.arange(len(sentences), dtype=np.float32)
    sections = np.fromiter((one.section for one in sentences), np.int64, len(sentences))
    firsts = np.searchsorted(sections, sections)  # the place at which each one's section begins
    sizes: Numbers = np.fromiter((_words(sentences[place].text) for place in places), np.float32, len(places))
    columns = (
        standardised(vectors @ centroid(vectors)),
        standardised((standing + 1) ** -0.5)[places],
        standardised(((standing - firsts + 1) ** -0.5).astype(np.float32))[places],
        standardised(np.log1p(sizes).astype(np.float32)),
        (sizes < SHORT).astype(np.float32),
    )
    return np.stack(columns, axis=1)


def known(features: Numbers, vectors: Numbers) -> Numbers:
    """All that is known of sentences, [N, F + D]; a vector's numbers are about 1, as the features are."""
    return np.column_stack([features, vectors * np.float32(vectors.shape[1] ** 0.5)]).astype(np.float32)


def fitted(rows: Sequence[Numbers], worths: Sequence[Numbers], penalty: float) -> Numbers:
    """Weights of a ridge regression over texts, [F + D].

    Args:
        rows: What is `known` of each text's sentences, [N, F + D].
        worths: What they are worth, [N].
        penalty: Of the squares of the weights.
    """
    inputs = np.concatenate([one - one.mean(axis=0) for one in rows]).astype(np.float64)
    right = np.concatenate([one - one.mean() for one in worths]).astype(np.float64)
    found = np.linalg.solve(inputs.T @ inputs + penalty * np.eye(inputs.shape[1]), inputs.T @ right)
    return np.asarray(found, np.float32)


def _words(text: str) -> float:
    return text.count(" ") + 1 + (0.0 if text.isascii() else chinese_characters(text) / 2)
