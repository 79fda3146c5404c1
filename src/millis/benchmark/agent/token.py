"""The secret that a measuring agent and its clients share."""

from millis.server.access import Secret

TOKEN = Secret("MILLIS_AGENT_TOKEN", "a measuring agent", ", to the same on both machines")


def take_token() -> str:
    """The token, and gone from the environment after.

    Raises:
        MillisError: there is none, or none that can be used.
    """
    token = TOKEN.read()
    TOKEN.forget()
    return token
