"""Where a benchmark may be measured."""

import pytest

from millis.benchmark.address import check_address
from millis.benchmark.latency import Options
from millis.errors import MillisError


@pytest.mark.parametrize("where", ["http://phone:7331", "https://10.0.0.2", "http://[::1]:80/"])
def test_an_address(where):
    check_address(where)
    assert Options(where=where).where == where


@pytest.mark.parametrize("where", ["there", "http://", "ftp://host:1", "http://host:port", "http://host:1/?token=x"])
def test_a_place_that_is_no_address(where):
    with pytest.raises(MillisError, match=r"expected `here`, or the address of a measuring agent such as http://HOST"):
        Options(where=where)


def test_a_secret_in_the_address_is_refused_and_not_repeated():
    with pytest.raises(MillisError, match="holds a user name or password, which records would show") as fault:
        Options(where="http://user:secret@host:7331")
    assert "secret" not in str(fault.value)
