"""The secret that a measuring agent and its clients share. It enters no config, so no record, log or run holds it."""

import hashlib
import hmac
import os
from collections.abc import MutableMapping
from pathlib import Path

from millis.errors import MillisError

VARIABLE = "MILLIS_AGENT_TOKEN"
FILE_VARIABLE = "MILLIS_AGENT_TOKEN_FILE"
SHORTEST = 16  # characters: 64 bits in hexadecimal, out of reach of guessing over a network


def read_token(environ: MutableMapping[str, str] | None = None) -> str:
    """The token in the environment variable `MILLIS_AGENT_TOKEN`, or in the file that `MILLIS_AGENT_TOKEN_FILE` names.

    Raises:
        MillisError: neither is set, the file cannot be read, or a token that is too short or no plain text.
    """
    environ = os.environ if environ is None else environ
    token = environ.get(VARIABLE, "").strip()
    if not token and (file := environ.get(FILE_VARIABLE)):
        try:
            token = Path(file).read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise MillisError(
                f"{FILE_VARIABLE}={file} cannot be read: {error}. Name a file that holds the token"
            ) from error
    if not token:
        raise MillisError(
            f"a measuring agent needs a token: set {VARIABLE}, or {FILE_VARIABLE} to a file that holds it, to the same "
            "on both machines. `openssl rand -hex 32` makes one"
        )
    if len(token) < SHORTEST or not (token.isascii() and token.isprintable()) or " " in token:
        raise MillisError(
            f"the token in {VARIABLE} or its file has {len(token)} characters; expected {SHORTEST} or more, of "
            "printable ASCII without spaces. `openssl rand -hex 32` makes one"
        )
    return token


def take_token() -> str:
    """As `read_token`, and gone from the environment after, with the name of its file: processes inherit that."""
    token = read_token()
    for name in (VARIABLE, FILE_VARIABLE):
        os.environ.pop(name, None)
    return token


def bearer(token: str) -> str:
    """The value of the `Authorization` header."""
    return f"Bearer {token}"


def same(given: str, expected: str) -> bool:
    """Whether two header values are equal, in a time that tells neither where they differ nor how long they are."""
    return hmac.compare_digest(
        *(hashlib.sha256(value.encode("utf-8", "replace")).digest() for value in (given, expected))
    )
