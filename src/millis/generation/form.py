"""Form: what a text may be, where that is one of some strings or what a regular expression matches.

At each step tokens that cannot go on to such a text are masked (Willard and Louf 2023, 2307.09702), and where only one
continuation is left it is written without the model: its tokens are read together with those that come, so that a label
of five tokens is most often read in one or two steps.

Masks are llguidance's, which derives an automaton while it is walked: an expression costs about a millisecond to begin
with, whatever the vocabulary, where an index of all states would take seconds.
"""

import json
from collections.abc import Callable
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from millis.errors import MillisError, is_panic


@lru_cache(maxsize=16)
def grammar(choices: tuple[str, ...], regex: str | None) -> str | None:
    """What llguidance calls a grammar; None where a text may be anything.

    Args:
        choices: None of them empty.

    Raises:
        MillisError: both, an expression that is none, or llguidance is not installed.
    """
    if not choices and regex is None:
        return None
    if choices and regex is not None:
        raise MillisError(
            f"generation.choices={list(choices)} and generation.regex={regex!r}: expected one of them. Write the "
            "choices into the expression"
        )
    if find_spec("llguidance") is None:
        raise MillisError(
            "generation.choices and generation.regex need llguidance, which is not installed: pip install "
            "'millis[constrained]'"
        )
    from llguidance import LLMatcher

    if regex is None:
        return str(LLMatcher.grammar_from_lark(f"start: {' | '.join(map(json.dumps, choices))}"))
    found = str(LLMatcher.grammar_from_regex(regex))
    if fault := LLMatcher.validate_grammar(found):
        raise MillisError(f"generation.regex={regex!r} is no regular expression: {_told(fault)}")
    return found


class Form:
    """How far one text has come within its form.

    Args:
        grammar: See above.
        serialized: Gives the text of `tokenizer.json`.
        ends: Ids of the tokens that end a text.
        size: V of the decoder.

    Raises:
        MillisError: no tokenizer or no end token, a tokenizer that llguidance cannot read or that has more tokens than
            the decoder, or an expression that is too large.
    """

    def __init__(self, grammar: str, serialized: Callable[[], str] | None, ends: tuple[int, ...], size: int) -> None:
        if serialized is None or not ends:
            raise MillisError(
                "generation.choices and generation.regex need the tokenizer (its tokenizer.json) and an end token: got "
                f"{'no tokenizer' if serialized is None else 'no end token'}. Use an artifact that has both"
            )
        self._matcher = _matcher(grammar, serialized(), ends, size).deep_copy()
        self._size = size

    def possible(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """`logits` [V] of the tokens that may come, minus infinity of the others; a copy.

        Raises:
            MillisError: none may come.
        """
        mask = np.frombuffer(self._matcher.compute_bitmask(), np.uint8)
        may = np.unpackbits(mask, count=self._size, bitorder="little").view(np.bool_)
        if self._matcher.is_error() or not may.any():
            raise MillisError(
                "no token of the vocabulary goes on to a text that generation.choices or generation.regex allows "
                f"({_told(self._matcher.get_error())}). Use a tokenizer that has every byte, or ask for another text"
            )
        return np.where(may, logits, np.float32(-np.inf))

    def take(self, token: int) -> None:
        """Go on with a token that may come."""
        self._matcher.consume_token(token)

    def forced(self) -> list[int]:
        """Tokens of the text that comes in any case; often none."""
        return list(self._matcher.compute_ff_tokens())

    @property
    def complete(self) -> bool:
        """Whether nothing may come but the end."""
        return bool(self._matcher.is_stopped()) and not self._matcher.is_error()


@lru_cache(maxsize=16)
def _matcher(grammar: str, serialized: str, ends: tuple[int, ...], size: int) -> Any:
    """At the beginning of a text; to be copied."""
    from llguidance import LLMatcher

    found = LLMatcher(_table(serialized, ends, size), grammar, log_level=0)
    if found.is_error():
        raise MillisError(f"generation.choices or generation.regex cannot be used: {_told(found.get_error())}")
    return found


@lru_cache(maxsize=4)
def _table(serialized: str, ends: tuple[int, ...], size: int) -> Any:
    """The tokenizer as llguidance has it, which takes a while to be made."""
    from llguidance import LLTokenizer

    try:
        return LLTokenizer(serialized, n_vocab=size, eos_token=list(ends))
    except BaseException as error:
        if not (isinstance(error, Exception) or is_panic(error)):
            raise
        raise MillisError(
            f"generation.choices and generation.regex cannot be used with this tokenizer: {error}. Use one of "
            "byte-level or byte-fallback BPE, with which the model was trained"
        ) from error


def _told(fault: str) -> str:
    """The line of llguidance's message that says what is wrong."""
    lines = [line.strip() for line in fault.splitlines()]
    told = next((line.removeprefix("error: ") for line in lines if line.startswith("error: ")), None)
    return told or (lines[0] if lines else "")
