import asyncio
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millis.benchmark.agent.blobs import Blobs
from millis.errors import MillisError


async def pieces(content: bytes):
    for start in range(0, len(content), 3):
        yield content[start : start + 3]


def receive(blobs: Blobs, name: str, content: bytes, size: int) -> None:
    asyncio.run(blobs.receive(name, pieces(content), size))


def send(blobs: Blobs, content: bytes) -> str:
    name = hashlib.sha256(content).hexdigest()
    receive(blobs, name, content, len(content))
    return name


def test_what_was_sent_can_be_placed(tmp_path):
    (tmp_path / "blobs").mkdir()
    (tmp_path / "artifact").mkdir()
    blobs = Blobs(tmp_path / "blobs", 100)
    name = send(blobs, b"weights")
    assert blobs.hold([name]) == []
    blobs.place({"model.onnx": name}, tmp_path / "artifact")
    assert (tmp_path / "artifact" / "model.onnx").read_bytes() == b"weights" == blobs.read(name)


def test_what_is_used_least_recently_makes_room(tmp_path):
    blobs = Blobs(tmp_path, 10)
    first, second = send(blobs, b"aaaa"), send(blobs, b"bbbb")
    assert blobs.hold([first]) == []
    blobs.release([first])  # used just now, so the second one is the older
    third = send(blobs, b"cccc")
    assert blobs.hold([first, second, third]) == [second]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([first, third])


def test_what_is_there_stays_for_a_request_whose_other_files_are_on_their_way(tmp_path):
    blobs = Blobs(tmp_path, 10)
    first, other = send(blobs, b"aaaa"), send(blobs, b"bbbb")
    third = hashlib.sha256(b"cccc").hexdigest()
    assert blobs.hold([first, third]) == [third]
    assert send(blobs, b"cccc") == third
    assert blobs.hold([first, third]) == [], "the one that nobody asked for made room"
    assert blobs.hold([other]) == [other]


def test_what_is_held_stays(tmp_path):
    blobs = Blobs(tmp_path, 10)
    name = send(blobs, b"a" * 8)
    blobs.hold([name])
    with pytest.raises(MillisError, match="there is no room for 4 bytes more: the agent keeps 10 in all"):
        send(blobs, b"bbbb")
    blobs.release([name])
    send(blobs, b"bbbb")


def test_what_is_sent_again_stays_the_same_file(tmp_path):
    blobs = Blobs(tmp_path, 10)
    name = send(blobs, b"a" * 8)
    blobs.hold([name])
    before = (tmp_path / name).stat().st_ino
    assert send(blobs, b"a" * 8) == name, "it needs no room of its own"
    assert [path.stat().st_ino for path in tmp_path.iterdir()] == [before]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("../../etc/passwd", b"x", "a file is sent under its SHA-256, 64 hexadecimal digits; got '../../etc/passwd'"),
        ("0" * 64, b"x", f"the bytes sent as {'0' * 64} have SHA-256 2d711642"),
    ],
)
def test_what_is_refused_leaves_nothing(tmp_path, name, content, message):
    with pytest.raises(MillisError, match=message):
        receive(Blobs(tmp_path, 10), name, content, len(content))
    assert list(tmp_path.iterdir()) == []


def test_an_upload_that_breaks_off_leaves_nothing(tmp_path):
    name = hashlib.sha256(b"whole").hexdigest()
    with pytest.raises(MillisError, match="they changed or broke off on the way"):
        receive(Blobs(tmp_path, 10), name, b"who", 5)
    assert list(tmp_path.iterdir()) == []


@given(st.lists(st.binary(min_size=1, max_size=6), max_size=12))
def test_the_capacity_is_kept_and_the_last_one_is_there(tmp_path_factory, contents):
    folder = tmp_path_factory.mktemp("blobs")
    blobs = Blobs(folder, 16)
    for content in contents:
        name = send(blobs, content)
        assert blobs.read(name) == content
        assert sum(path.stat().st_size for path in folder.iterdir()) <= 16
