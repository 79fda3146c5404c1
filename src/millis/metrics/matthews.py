"""Matthews correlation: how far predictions and references go together, 0 for any answer that ignores the text.

Source: Matthews 1975 for two classes; Gorodkin 2004, "Comparing two K-category assignments by a K-category
correlation coefficient", for more. GLUE judges CoLA by it.
"""

from math import sqrt

import numpy as np
from numpy.typing import NDArray


def matthews(predictions: NDArray[np.int64], references: NDArray[np.int64]) -> float:
    """100 × the correlation of the one-hot predictions with the one-hot references, -100..100.

    With c right predictions of N, p_k predictions and t_k references of class k:
        (c·N - Σ p_k·t_k) / sqrt((N² - Σ p_k²) · (N² - Σ t_k²))
    Where either list holds a single class the denominator is 0 and so, by convention, is the result.

    Args:
        predictions: Predicted label indices [N].
        references: True label indices [N].
    """
    items = len(references)
    classes = 1 + max(int(predictions.max()), int(references.max()))
    predicted = np.bincount(predictions, minlength=classes)
    actual = np.bincount(references, minlength=classes)
    covariance = int(np.sum(predictions == references)) * items - int(predicted @ actual)
    # Two roots, not the root of a product: N⁴ would not fit in 64 bits beyond N = 55,000.
    scale = sqrt(items**2 - int(predicted @ predicted)) * sqrt(items**2 - int(actual @ actual))
    return 100 * covariance / scale if scale else 0.0
