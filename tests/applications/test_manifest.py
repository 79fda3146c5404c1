"""The folder of an application: what is written is read, and nothing else is."""

import json
import shutil

import pytest
from service import parts

from millis.applications.manifest import bytes_of, is_application, open_application, seal
from millis.errors import MillisError


@pytest.fixture
def copy(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "copy")


def changed(folder, **values):
    path = folder / "application.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_what_is_sealed_is_opened(folder):
    found = open_application(folder)
    assert (found.name, found.kind, [*found.parts]) == ("service", "customer_service", ["intent", "faq"])
    assert is_application(folder) and not is_application(folder / "intent")
    assert found.fingerprint == open_application(folder, verify=False).fingerprint
    assert bytes_of(folder) == bytes_of(folder / "intent") + bytes_of(folder / "faq")


def test_files_of_its_own_are_listed_and_checked(tmp_path):
    made = parts(tmp_path / "own")
    (tmp_path / "own" / "more").mkdir()
    (tmp_path / "own" / "more" / "index.bin").write_bytes(b"1234")
    sealed = seal(tmp_path / "own", "own", "customer_service", made, settings={})
    assert sealed.files["more/index.bin"]["bytes"] == 4
    assert open_application(tmp_path / "own") == sealed
    assert bytes_of(tmp_path / "own") == 4 + sum(bytes_of(part) for part in made.values())
    (tmp_path / "own" / "more" / "index.bin").write_bytes(b"1235")
    with pytest.raises(MillisError, match=r"is damaged: more/index.bin was changed. Copy or build it again"):
        open_application(tmp_path / "own")
    (tmp_path / "own" / "more" / "index.bin").unlink()
    with pytest.raises(MillisError, match=r"is damaged: more/index.bin is missing"):
        open_application(tmp_path / "own", verify=False)


@pytest.mark.parametrize(("values", "message"), [
    ({"format": "zip"}, "is damaged: format 'zip' and version 1, expected 'millis-application' and 1. Build"),
    ({"version": 7}, "version 7"),
    ({"kind": "customer_servce"}, "kind is 'customer_servce': expected one of .*did you mean 'customer_service'"),
    ({"parts": ["intent"]}, "parts is"),
    ({"parts": {"../intent": "0"}}, "'../intent' leads out of the application"),
    ({"parts": {"a/b": "0"}}, "part 'a/b' is no folder of the application itself"),
    ({"parts": {"intent": "0", "other": "0"}}, "its part '(intent' is another artifact|other' is missing)"),
    ({"files": {"/etc/passwd": {"sha256": "", "bytes": 1}}}, "leads out of the application"),
    ({"settings": 3}, "settings is 3"),
])  # fmt: skip
def test_a_manifest_that_lies_is_refused_in_a_sentence(copy, values, message):
    changed(copy, **values)
    with pytest.raises(MillisError, match=message):
        open_application(copy)


@pytest.mark.parametrize("text", ["", "[]", "{", "\x00\xff", "[" * 100_000])
def test_no_json_is_refused(copy, text):
    (copy / "application.json").write_text(text, encoding="latin-1")
    with pytest.raises(MillisError, match=r"application.json is damaged: .* Build the application again"):
        open_application(copy)


def test_missing_and_foreign_parts_are_refused(copy):
    (copy / "note.txt").write_text("hello")
    with pytest.raises(MillisError, match=r"holds files that its manifest does not list: note.txt. Remove them"):
        open_application(copy)
    (copy / "note.txt").unlink()
    shutil.rmtree(copy / "faq")
    with pytest.raises(MillisError, match=r"its part 'faq' is missing. Copy or build it again"):
        open_application(copy)
    shutil.copytree(copy / "intent", copy / "faq")
    with pytest.raises(MillisError, match="its part 'faq' is another artifact"):
        open_application(copy)


def test_a_changed_weight_of_a_part_is_found(copy):
    (weights,) = (copy / "intent").glob("*.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    with pytest.raises(MillisError, match="does not match its checksum"):
        open_application(copy)
