"""What guessing is worth (Leviathan et al. 2023, 2211.17192, section 3)."""

from millis.errors import MillisError


def acceptance(accepted: int, refused: int) -> float:
    """α: the share of guesses that are right among those that were looked at; guesses after a wrong one are not.

    Args:
        accepted, refused: Of one text or several, `millis.generation.writing.Written`.

    Raises:
        MillisError: none was looked at.
    """
    if accepted + refused < 1:
        raise MillisError("no guess was looked at: expected one or more. Write longer texts, with a draft")
    return accepted / (accepted + refused)


def tokens_a_read(acceptance: float, tokens: int) -> float:
    """(1 - α^(k+1)) / (1 - α): tokens that reading k guesses brings on average, the one after them included.

    Equation 1, for guesses that are right independently of each other.

    Args:
        acceptance: α, 0 to 1.
        tokens: k, guesses that are read at once.
    """
    return float(sum(acceptance**count for count in range(tokens + 1)))


def expected_speedup(acceptance: float, tokens: int, cost: float, verification: float = 1.0) -> float:
    """(1 - α^(k+1)) / ((1 - α) (k c + v)): how many times as fast the text is written as token by token.

    Theorem 3.8, where v is 1: there it takes no longer to read k + 1 tokens at once than one.

    Args:
        acceptance: α, 0 to 1.
        tokens: k, guesses that are read at once.
        cost: c, time of one guess over that of reading one token; 0 for a look-up.
        verification: v, time of reading k + 1 tokens at once over that of one.
    """
    return tokens_a_read(acceptance, tokens) / (tokens * cost + verification)
