"""Who may ask over a network: the secret that both sides share, and the socket that is listened on.

A secret enters no config, so no record, log or command line holds it.
"""

import hashlib
import hmac
import os
import socket
from collections.abc import MutableMapping
from dataclasses import dataclass
from pathlib import Path

from millis.errors import MillisError

SHORTEST = 16  # characters: 64 bits in hexadecimal, out of reach of guessing over a network
LOOPBACK = ("127.0.0.1", "localhost", "::1")
BACKLOG = 1024  # connections that wait to be let in


@dataclass(frozen=True)
class Secret:
    """Where a token comes from.

    Args:
        variable: Of the environment; with `_FILE` behind it, the one that names a file.
        whose: Needs it, for messages.
        shared: Where else it is set, for messages.
    """

    variable: str
    whose: str
    shared: str = ""

    @property
    def file_variable(self) -> str:
        """Names a file that holds the token."""
        return f"{self.variable}_FILE"

    def find(self, environ: MutableMapping[str, str] | None = None) -> str | None:
        """The token in the environment variable, or in the file that the other variable names; None without either.

        Raises:
            MillisError: the file cannot be read, or a token that is too short or no plain text.
        """
        environ = os.environ if environ is None else environ
        token = environ.get(self.variable, "").strip()
        if not token and (file := environ.get(self.file_variable)):
            try:
                token = Path(file).read_text(encoding="ascii").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise MillisError(
                    f"{self.file_variable}={file} cannot be read: {error}. Name a file that holds the token"
                ) from error
        if not token:
            return None
        if len(token) < SHORTEST or not (token.isascii() and token.isprintable()) or " " in token:
            raise MillisError(
                f"the token in {self.variable} or its file has {len(token)} characters; expected {SHORTEST} or more, "
                "of printable ASCII without spaces. `openssl rand -hex 32` makes one"
            )
        return token

    def read(self, environ: MutableMapping[str, str] | None = None) -> str:
        """As `find`.

        Raises:
            MillisError: as `find`, and without either variable.
        """
        token = self.find(environ)
        if token is None:
            raise MillisError(
                f"{self.whose} needs a token: set {self.variable}, or {self.file_variable} to a file that holds it"
                f"{self.shared}. `openssl rand -hex 32` makes one"
            )
        return token

    def forget(self) -> None:
        """Take it out of the environment, with the name of its file: processes inherit that."""
        for name in (self.variable, self.file_variable):
            os.environ.pop(name, None)


def bearer(token: str) -> str:
    """The value of the `Authorization` header."""
    return f"Bearer {token}"


def same(given: str, expected: str) -> bool:
    """Whether two header values are equal, in a time that tells neither where they differ nor how long they are."""
    return hmac.compare_digest(
        *(hashlib.sha256(value.encode("utf-8", "replace")).digest() for value in (given, expected))
    )


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens on an address; port 0 takes a free one.

    Raises:
        MillisError: the address cannot be listened on.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except (OSError, OverflowError) as error:
        raise MillisError(
            f"cannot listen on {host}:{port}: {error}. Choose another host=... or port=..., or stop what listens there"
        ) from error
