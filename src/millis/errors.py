"""The one exception a user is meant to read.

Every fault that a user can cause or mend (a misspelled column, a damaged artifact, a budget nothing can
meet) is raised as `MillisError` with a sentence that says what was got, what was expected and what to do.
The command line prints it without a traceback; anything else that escapes is a bug in millis.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches


class MillisError(Exception):
    """A fault with a message for the user: got, expected, do this."""


class Unavailable(MillisError):
    """What a command needs is away, whatever is tried with it: the same may succeed later."""


def nearest(name: str, valid: Iterable[str]) -> str:
    """`" (did you mean 'x'?)"` when a valid name is close to `name`, else an empty string."""
    close = get_close_matches(name, list(valid), n=1, cutoff=0.6)
    return f" (did you mean {close[0]!r}?)" if close else ""


@contextmanager
def without_panics(what: str) -> Iterator[None]:
    """Turn a panic of Rust code within this, which is no `Exception`, into a fault of `what`.

    Raises:
        MillisError: the code panicked, as tokenizers does on a `tokenizer.json` that contradicts itself.
    """
    try:
        yield
    except BaseException as error:
        if not is_panic(error):
            raise
        raise MillisError(f"{what} contradicts itself: {error}. Make or fetch it again") from error


def is_panic(error: BaseException) -> bool:
    """Whether `error` is a panic of Rust code; its class, a bare BaseException, cannot be imported."""
    return type(error).__name__ == "PanicException"
