"""Records that are kept."""

from types import SimpleNamespace

import pytest

from millis.errors import MillisError
from millis.pipeline.records import read_record, record_path, slug


def test_a_damaged_record_is_named(tmp_path):
    path = record_path(tmp_path, "key")
    path.parent.mkdir()
    path.write_text('{"id": "key", "na')
    with pytest.raises(MillisError, match=rf"^{path} is damaged or gone \(not a millis record: .*Delete it"):
        read_record(SimpleNamespace(cache=tmp_path), "key")


def test_a_name_as_a_folders():
    assert slug("transformer 2x32 (int8) #2") == "transformer-2x32-int8-2"
