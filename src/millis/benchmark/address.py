"""Addresses of measuring agents, as `benchmark.where` names them."""

from urllib.parse import urlsplit

from millis.errors import MillisError


def check_address(where: str) -> None:
    """Refuse what is no address of an agent.

    Args:
        where: As `benchmark.where` has it.

    Raises:
        MillisError: another kind of address, or one with a user's name or password.
    """
    try:
        parts = urlsplit(where)
        _ = parts.port
    except ValueError:
        parts = urlsplit("")
    if parts.username is not None or parts.password is not None:
        raise MillisError(
            "benchmark.where holds a user name or password, which records would show. The agent's token comes from "
            "MILLIS_AGENT_TOKEN, and nothing else is needed: expected http://HOST:PORT"
        )
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise MillisError(
            f"benchmark.where={where}: expected `here`, or the address of a measuring agent such as http://HOST:7331"
        )
