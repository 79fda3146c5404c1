"""A tokenizer of few words, and a table whose neighbours can be read off it."""

import numpy as np
import pytest

from millis.models import wordpiece

WORDS = ["monday", "tuesday", "friday", "order", "cancel", "table", "7", "8", "please"]
TEXTS = ["Please cancel my order on Monday!", "a table for 7 on friday", "order 8 on tuesday, please", "", "?!"]


@pytest.fixture(scope="session")
def tokenizer():
    return wordpiece.train([*TEXTS, *WORDS] * 3, 200, lowercase=True)


@pytest.fixture(scope="session")
def table(tokenizer):
    """Random directions, but days point one way and digits another; rows are of different lengths."""
    vectors = np.random.default_rng(0).normal(size=(tokenizer.get_vocab_size(), 64)).astype(np.float32)
    for group, direction in ((["monday", "tuesday", "friday"], 0), (["7", "8"], 1)):
        for word in group:
            vectors[tokenizer.token_to_id(word)] *= 0.5
            vectors[tokenizer.token_to_id(word), direction] += 20
    return vectors
