import pytest

from millis.backends.onnxruntime import OnnxRuntime
from millis.backends.profile import Operator, profile, summed
from millis.backends.runner import load
from millis.errors import MillisError
from millis.storage.archived import Archived
from millis.storage.manifest import open_manifest


def test_sums_and_shares_by_hand():
    times = [("a", "MatMul", 6.0), ("b", "Add", 2.0), ("a", "MatMul", 12.0)]
    assert summed(times, requests=2) == [Operator("a", "MatMul", 0.9, 9.0), Operator("b", "Add", 0.1, 1.0)]
    assert summed([], requests=2) == []


def test_a_runtime_that_does_not_tell_is_refused(tmp_path, manifest):
    message = r"backend=inductor does not tell what its operators take.*Profile the same model on another backend"
    with pytest.raises(MillisError, match=message):
        profile(tmp_path, manifest(backend="inductor"), 1, [], most=10)


@pytest.mark.parametrize("storage", [None, Archived(bandwidth_mb_per_s=1, codecs=("zlib",), lossy=())])
def test_open_manifest_is_what_profile_takes(write, storage):
    folder = write(OnnxRuntime(), storage=storage)
    runner = load(folder)
    requests = [runner.feed(runner.tokenize(text)) for text in ("a b", "c")]
    (most,) = profile(folder, open_manifest(folder), 1, requests, most=1)
    assert most.kind and 0 < most.share <= 1 and most.microseconds > 0
