import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millis.errors import MillisError
from millis.storage import codecs


def codec(name):
    if name in ("zstd", "lz4"):
        pytest.importorskip({"zstd": "zstandard"}.get(name, name))
    return codecs.codec(name)


@pytest.mark.parametrize("name", codecs.names())
@given(data=st.binary(max_size=300), repeats=st.integers(1, 20))
def test_round_trip(name, data, repeats):
    used = codec(name)
    data = data * repeats
    assert bytes(used.decompress(used.compress(data), len(data))) == data


@pytest.mark.parametrize("name", [name for name in codecs.names() if name != "raw"])
def test_repetition_gets_smaller(name):
    assert len(codec(name).compress(b"where is my parcel? " * 100)) < 100


@pytest.mark.parametrize("name", ["zstd", "lz4", "zlib"])
def test_no_more_is_made_than_expected(name):
    used = codec(name)
    bomb = used.compress(bytes(10_000_000))
    try:
        made = used.decompress(bomb, 10)
    except Exception as error:
        assert not isinstance(error, MemoryError)
    else:
        assert len(made) <= 11


def test_an_unknown_codec():
    with pytest.raises(MillisError, match=r"codec 'brotli' is unknown; expected one of raw, zlib, zstd, lz4"):
        codecs.codec("brotli")


def test_a_library_that_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(MillisError, match=r"codec 'zstd' needs zstandard: pip install 'millis\[storage\]'"):
        codecs.codec("zstd")
