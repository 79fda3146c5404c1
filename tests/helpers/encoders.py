"""An encoder whose words have vectors that are set by hand."""

import numpy as np
from service import part

from millis.data.vectors import Vectors
from millis.tasks.retrieval import Retrieval


def encoder(folder, words):
    """An artifact whose vectors of texts are the means of their words' vectors."""
    width = len(next(iter(words.values())))
    vectors = Vectors(np.eye(width, dtype=np.float32)[:2])
    return part(folder, words, Retrieval("").over(("a", "b"), vectors), "vector")
