import pytest

from millis.benchmark.latency import Options
from millis.benchmark.members import stages_of
from millis.errors import MillisError

TEXTS = ["a", "a a", "a a a"]


def test_each_text_is_timed_in_each_artifact(artifact):
    found = stages_of(
        {"fast": artifact("small"), "accurate": artifact("large", work=200)}, TEXTS, Options(settle_ms=0.1)
    )
    assert {name: stages.shape for name, stages in found.items()} == {"fast": (3, 4), "accurate": (3, 4)}
    assert all((stages >= 0).all() and stages.sum() > 0 for stages in found.values())
    # 200 products of 256 x 256 take milliseconds, the rest of a request microseconds.
    assert (found["accurate"][:, 2] > found["fast"][:, 2]).all()


def test_an_artifact_that_does_not_load(artifact, tmp_path):
    with pytest.raises(MillisError, match="nowhere is not a millis artifact"):
        stages_of({"fast": artifact("small"), "accurate": tmp_path / "nowhere"}, TEXTS, Options())
