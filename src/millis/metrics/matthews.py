"""Matthews correlation: how far answers and references go together, 0 for any answer that ignores the text.

Source: Matthews 1975 for two classes; Gorodkin 2004, "Comparing two K-category assignments by a K-category
correlation coefficient", for more. GLUE judges CoLA by it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from millis.metrics._labels import OverClasses, one_hot


@dataclass(frozen=True)
class Matthews(OverClasses):
    """100 × the correlation of the one-hot answers with the one-hot references, -100..100.

    With c right answers of N, p_k answers and t_k references of class k:
        (c·N - Σ p_k·t_k) / sqrt((N² - Σ p_k²) · (N² - Σ t_k²))
    Where either list holds a single class the denominator is 0 and so, by convention, is the result.
    """

    def statistics(self, answers: NDArray[np.int64], references: NDArray[np.int64]) -> NDArray[np.float64]:
        """Right, then predicted of each class, then true of each, [N, 1 + 2C]."""
        right = (answers == references)[:, None]
        return np.concatenate([right, one_hot(answers, self.classes), one_hot(references, self.classes)], axis=1)

    def value(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """[..., 1 + 2C] → [...]"""
        right = sums[..., 0]
        predicted, actual = np.split(sums[..., 1:], 2, axis=-1)
        items = actual.sum(axis=-1)
        covariance = right * items - (predicted * actual).sum(axis=-1)
        # Squares of whole numbers are exact in 53 bits up to N = 94 million; the product of both would not be.
        scale = np.sqrt(items**2 - (predicted**2).sum(axis=-1)) * np.sqrt(items**2 - (actual**2).sum(axis=-1))
        return np.asarray(np.divide(100 * covariance, scale, out=np.zeros(np.shape(scale)), where=scale > 0))
