import json
import re
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tensors import same_bits, tensors

from millis.errors import MillisError
from millis.storage import archive
from millis.storage.archive import Archive, write
from millis.storage.cheapest import Rule

pytest.importorskip("zstandard", reason="the storage extra is not installed")
pytest.importorskip("lz4", reason="the storage extra is not installed")
RULE = Rule(bandwidth_mb_per_s=1)


@pytest.fixture
def tensors_of_a_model():
    generator = np.random.default_rng(0)
    weight = generator.normal(size=(64, 32)).astype(np.float32)
    return {
        "weight": weight,
        "sparse": np.where(generator.random((64, 32)) < 0.1, weight, 0),
        "int8": generator.integers(-127, 128, (64, 32)).astype(np.int8),
        "positions": np.arange(128),
        "scale": np.array(0.5, np.float32),
        "none": np.zeros((0, 4), np.float32),
    }


@pytest.fixture
def path(tmp_path, tensors_of_a_model):
    write(tmp_path / "a.millis", tensors_of_a_model, RULE)
    return tmp_path / "a.millis"


def test_everything_comes_back(path, tensors_of_a_model):
    read = Archive(path).read()
    assert list(read) == list(tensors_of_a_model)
    assert all(same_bits(read[name], tensor) for name, tensor in tensors_of_a_model.items())


@settings(max_examples=20)
@given(found=st.lists(tensors(), max_size=3))
def test_any_tensors_come_back(tmp_path_factory, found):
    path = tmp_path_factory.mktemp("any") / "a.millis"
    write(path, {str(i): tensor for i, tensor in enumerate(found)}, RULE)
    opened = Archive(path)
    for read in (opened.read(), opened.read(threads=3), {name: opened[name] for name in opened.entries}):
        assert all(same_bits(read[str(i)], tensor) for i, tensor in enumerate(found))


def test_one_tensor_is_read_without_the_others(path, tensors_of_a_model):
    entries = Archive(path).entries
    end = max(part.offset + part.bytes for part in entries["weight"].parts.values())
    start = Archive(path)._start
    content = bytearray(path.read_bytes())
    content[start + end :] = b"\xaa" * (len(content) - start - end)  # all tensors after the first
    path.write_bytes(content)
    opened = Archive(path)
    assert same_bits(opened["weight"], tensors_of_a_model["weight"])
    assert list(opened.read(["weight"])) == ["weight"]
    with pytest.raises(MillisError, match="tensor 'sparse' does not match its checksum"):
        opened["sparse"]


def test_the_header_tells_bytes_before_and_after(path, tensors_of_a_model):
    entries = write(path, tensors_of_a_model, RULE)
    assert entries == list(Archive(path).entries.values())
    told = {entry.name: entry for entry in entries}
    assert (told["weight"].bytes_before, told["weight"].shape, told["weight"].dtype) == (64 * 32 * 4, (64, 32), "<f4")
    assert 0 < told["sparse"].bytes_after < 0.3 * told["sparse"].bytes_before
    assert path.stat().st_size >= sum(entry.bytes_after for entry in entries)
    assert all(part.offset % archive.ALIGNMENT == 0 for entry in entries for part in entry.parts.values())


def test_values_that_are_stored_raw_can_be_written_to(tmp_path):
    write(tmp_path / "a", {"w": np.random.default_rng(0).normal(size=64)}, Rule(codecs=()))
    Archive(tmp_path / "a").read()["w"][0] = 1  # PyTorch warns of tensors that cannot be


@settings(max_examples=150)
@given(position=st.integers(0, 1023), change=st.integers(1, 255))  # codecs are chosen by time: the length may vary
def test_a_changed_byte_is_refused_or_makes_no_difference(tmp_path_factory, position, change):
    path = tmp_path_factory.mktemp("changed") / "a.millis"
    kept = {"w": np.arange(300, dtype=np.float32) % 7, "q": np.arange(40, dtype=np.int8)}
    write(path, kept, RULE)
    content = bytearray(path.read_bytes())
    content[position % len(content)] ^= change
    path.write_bytes(content)
    try:
        read = Archive(path).read()
    except MillisError as error:
        assert re.search(
            r"is damaged: .* Copy or make it again|is not a millis archive|has archive version", str(error)
        )
    else:
        assert all(same_bits(read[name], tensor) for name, tensor in kept.items())


@settings(max_examples=60)
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_truncated_archive_is_refused(tmp_path_factory, share):
    path = tmp_path_factory.mktemp("cut") / "a.millis"
    write(path, {"w": np.arange(300)}, RULE)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(MillisError, match=r"was cut short|is not a millis archive: it begins with b''"):
        Archive(path)


def test_a_truncated_archive_says_how_much_is_missing(path):
    content = path.read_bytes()
    path.write_bytes(content[:-100])
    message = (
        f"is damaged: it was cut short: it has {len(content) - 100} bytes, its prefix says {len(content)}. Copy or"
    )
    with pytest.raises(MillisError, match=message):
        Archive(path)


def test_an_archive_with_something_after_it(path):
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(MillisError, match="is damaged: it has grown"):
        Archive(path)


def test_a_foreign_file(tmp_path):
    (tmp_path / "a").write_bytes(b"PK\x03\x04 a zip file, say")
    message = r"is not a millis archive: it begins with b'PK\\x03\\x04 a z', expected b'MILLISAR'. Name a file"
    with pytest.raises(MillisError, match=message):
        Archive(tmp_path / "a")


def test_an_archive_that_is_nowhere(tmp_path):
    with pytest.raises(
        MillisError, match=r"there is no archive at .*a.millis. Name a file that `millis compress storage"
    ):
        Archive(tmp_path / "a.millis")


def test_a_newer_archive(path):
    content = bytearray(path.read_bytes())
    content[8:12] = struct.pack("<I", 2)
    path.write_bytes(content)
    with pytest.raises(
        MillisError, match=r"archive version 2, this millis reads 1: load it with the millis that wrote it"
    ):
        Archive(path)


def forged(path, header):
    """An archive whose header is `header`, with checksums that match."""
    packed = zlib.compress(header)
    total = archive.PREFIX.size + len(packed)
    path.write_bytes(archive.PREFIX.pack(archive.MAGIC, 1, zlib.crc32(packed), len(packed), total) + packed)
    return path


PART = '{"dtype":"<f4","count":1,"filter":"plain","bits":8,"codec":"raw","offset":0,"bytes":4,"crc32":0}'


def entry(dtype="<f4", shape="[1]", encoding="dense", part=PART):
    return (
        f'[{{"name":"w","dtype":"{dtype}","shape":{shape},"encoding":"{encoding}","numbers":{{}},'
        f'"parts":{{"values":{part}}}}}]'
    )


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("{", "its header cannot be read"),
        ('[{"name":"w"}]', "its header cannot be read"),
        (entry(dtype="|O"), r"\(\[0\].dtype: Invalid enum value '\|O'\)"),  # objects would be unpickled
        (entry(shape="[-1]"), r"\(\[0\].shape\[0\]: Expected int >= 0\)"),
        (entry(shape=f"[{2**60}]"), r"shape\[0\]: Expected int <="),
        (entry(shape='["1"]'), r"shape\[0\]: Expected int, got str"),
        (entry(part=PART.replace('"offset":0', '"offset":-4')), "offset: Expected int >= 0"),
        (entry(part=PART.replace('"filter":"plain",', "")), "missing required field filter"),
        (entry(part=PART.replace(',"crc32":0', "")), "missing required field crc32"),
        (entry(part=PART.replace('"crc32"', '"crc33"')), "crc33"),
        (entry(part="[]"), r"\(\[0\].parts\[...\]: Expected object, got array\)"),
        (entry().replace('{"values":' + PART + "}", "[]"), r"\(\[0\].parts: Expected object, got array\)"),
        (entry().replace('"w"', '["w"]'), r"\(\[0\].name: Expected str, got array\)"),
        (entry()[:-1] + "," + entry()[1:], "tensor 'w' is there twice"),
        ("[" * 100_000, "Expected object, got array"),
        ("[" + '{"name":' * 100_000, "Expected str, got object"),
        ("[" + '{"numbers":{"a":' * 3 + "[" * 100_000, r"numbers\[...\]: Expected int, got object"),
        ("NaN", "JSON is malformed"),
        (b"\xff\xfe".decode("latin-1"), "malformed"),
        (entry(), "its parts take 64 bytes, 0 are there"),
    ],
)
def test_a_header_that_lies(tmp_path, header, message):
    with pytest.raises(MillisError, match=message):
        Archive(forged(tmp_path / "a", header.encode())).read()


def with_parts(path, entries, *blobs):
    """An archive with these parts behind its header, each with the checksum, length and place that it has."""
    offset, parts = 0, [part for one in entries for part in one["parts"].values()]
    for part, blob in zip(parts, blobs, strict=True):
        part |= {"offset": offset, "bytes": len(blob), "crc32": zlib.crc32(blob)}
        offset += len(blob) + -len(blob) % 64
    forged(path, json.dumps(entries).encode())
    content = path.read_bytes() + b"".join(blob + bytes(-len(blob) % 64) for blob in blobs)
    path.write_bytes(content[:24] + struct.pack("<Q", len(content)) + content[32:])
    return path


def stored(dtype, count, codec="raw", filter="plain", bits=8):
    return {"dtype": dtype, "count": count, "filter": filter, "bits": bits, "codec": codec}


def lying(shape, encoding, dtype="<f4", numbers=None, **parts):
    return [
        {"name": "w", "dtype": dtype, "shape": shape, "encoding": encoding, "numbers": numbers or {}, "parts": parts}
    ]


GIB = 1 << 30


def bombs():
    """Files of at most 100 kB that would decode to 3 GiB and more."""
    import zstandard

    zeros = zstandard.ZstdCompressor(19).compress(bytes(GIB >> 4))
    yield "bitmask", lying([3 * GIB], "bitmask", "|u1", mask=stored("|u1", 1), values=stored("|u1", 0)), [b"\0", b""]
    yield "zlib", lying([3 * GIB], "dense", "|u1", values=stored("|u1", 3 * GIB, "zlib")), [zlib.compress(b"\0" * 99)]
    yield "zstd", lying([GIB >> 4] * 1, "dense", "|u1", values=stored("|u1", GIB >> 4, "zstd")), [zeros]
    yield "sparse", lying([3 * GIB, 1], "csr", "|u1", values=stored("|u1", 0), gaps=stored("|u1", 0),
                          counts=stored("|u1", 1)), [b"", b"", b"\0"]  # fmt: skip
    tiles = {"mask": stored("|u1", 1), "values": stored("<f4", 0)}
    yield "tiles", lying([GIB, 4], "block_sparse", numbers={"side": 4}, **tiles), [b"\0", b""]
    yield "codes", lying([1 << 40], "codebook", "|u1", codes=stored("|u1", 9, "lz4"), values=stored("|u1", 1)), [
        b"a", b"a"
    ]  # fmt: skip


@pytest.mark.parametrize(("entries", "blobs"), [bomb[1:] for bomb in bombs()], ids=[bomb[0] for bomb in bombs()])
def test_a_short_file_that_decodes_to_gibibytes_is_refused_when_opened(tmp_path, monkeypatch, entries, blobs):
    monkeypatch.setattr(archive, "ALWAYS", 1 << 20)
    path = with_parts(tmp_path / "a", entries, *blobs)
    assert path.stat().st_size < 100_000
    with pytest.raises(MillisError, match=r"its tensors take \d+ bytes, expected at most \d+ of a file as short"):
        Archive(path)


def test_a_header_that_says_what_is_there_is_read(tmp_path):
    path = with_parts(tmp_path / "a", lying([2], "dense", values=stored("<f4", 2)), np.float32([1, 2]).tobytes())
    assert Archive(path).read()["w"].tolist() == [1, 2]
    path.write_bytes(path.read_bytes()[:-56])  # the last part need not be filled up
    content = path.read_bytes()
    path.write_bytes(content[:24] + struct.pack("<Q", len(content)) + content[32:])
    assert Archive(path)["w"].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("encoding", "numbers", "parts", "message"),
    [
        ("block_sparse", {"side": 0}, {"mask": ("|u1", 1), "values": ("<f4", 0)}, "tiles of 0, expected one of"),
        ("block_sparse", {"side": 10**9}, {"mask": ("|u1", 1), "values": ("<f4", 0)}, "tiles of 1000000000"),
        ("block_sparse", {}, {"mask": ("|u1", 1), "values": ("<f4", 0)}, "KeyError: 'side'"),
        ("n_m", {"n": 1, "m": 10**9, "first_axis": 0}, {"values": ("<f4", 1), "places": ("|u1", 1)}, "1 of 1000000000"),
        ("n_m", {"n": 0, "m": 4, "first_axis": 0}, {"values": ("<f4", 1), "places": ("|u1", 1)}, "0 of 4"),
        ("grid", {"bits": 10**15}, {"codes": ("|u1", 4), "steps": ("<f4", 1)}, "1000000000000000 bits, expected one"),
        ("dense", {}, {"values": ("<f4", 5)}, "has 5 values at 0, expected at most 4 at 0"),
    ],
)
def test_numbers_that_lie_are_refused(tmp_path, encoding, numbers, parts, message):
    entries = lying([4], encoding, numbers=numbers, **{key: stored(*part) for key, part in parts.items()})
    blobs = [bytes(np.dtype(dtype).itemsize * count) for dtype, count in parts.values()]
    with pytest.raises(MillisError, match=message):
        Archive(with_parts(tmp_path / "a", entries, *blobs)).read()


def test_nothing_is_written_that_would_not_be_read(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "ALWAYS", 0)
    with pytest.raises(MillisError, match="its tensors take 65536 bytes, expected at most"):
        write(tmp_path / "a", {"w": np.zeros(1 << 16, np.uint8)}, Rule(codecs=("zlib",)))
    assert list(tmp_path.iterdir()) == []


def test_a_header_that_would_fill_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "HEADER_LIMIT", 1000)
    with pytest.raises(MillisError, match=r"its header cannot be read \(more than 1000 bytes, or cut short\)"):
        Archive(forged(tmp_path / "a", b"[" + b" " * 1000 + b"]"))


def test_a_shape_that_does_not_fit_its_values(tmp_path):
    part = PART.replace('"count":1', '"count":0').replace('"bytes":4', '"bytes":0')
    with pytest.raises(MillisError, match=r"tensor 'w' cannot be decoded \(ValueError: .*\). Copy or make it again"):
        Archive(forged(tmp_path / "a", entry(part=part).encode())).read()


def test_a_misspelled_tensor(path):
    with pytest.raises(MillisError, match=r"has no tensor 'wieght' \(did you mean 'weight'\?\)"):
        Archive(path)["wieght"]


def test_objects_are_not_written(tmp_path):
    with pytest.raises(MillisError, match="tensor 'w' is object; an archive holds"):
        write(tmp_path / "a", {"w": np.array([print])}, RULE)
    assert list(tmp_path.iterdir()) == []
