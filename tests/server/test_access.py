import socket

import pytest

from millis.errors import MillisError
from millis.server.access import Secret, listening, same


def test_only_the_same_is_the_same():
    assert same("Bearer a", "Bearer a")
    assert not same("Bearer a", "Bearer b") and not same("", "Bearer a") and not same("é", "e")


def test_a_token_that_need_not_be_there():
    secret = Secret("MILLIS_SERVER_TOKEN", "a server")
    assert secret.find({}) is None
    with pytest.raises(
        MillisError, match="a server needs a token: set MILLIS_SERVER_TOKEN, or MILLIS_SERVER_TOKEN_FILE"
    ):
        secret.read({})


def test_a_port_in_use():
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(
            MillisError, match=r"cannot listen on 127.0.0.1:\d+: .*in use.*\. Choose another host=... or port="
        ),
    ):
        listening("127.0.0.1", taken.getsockname()[1])
