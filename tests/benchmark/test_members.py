import pytest

from millis.benchmark.latency import Options
from millis.benchmark.members import stages_of
from millis.errors import MillisError

TEXTS = ["a", "a a", "a a a"]


def test_each_text_is_timed_in_each_artifact(artifact):
    found = stages_of(
        {"fast": artifact("small"), "accurate": artifact("large", work=200)}, TEXTS, Options(settle_ms=0.1)
    )
    assert [[*found[name]] for name in ("fast", "accurate")] == 2 * [["tokenize", "feed", "compute", "decode"]]
    assert all(taken.shape == (3,) and (taken >= 0).all() for stages in found.values() for taken in stages.values())
    # 200 products of 256 x 256 take milliseconds, the rest of a request microseconds.
    assert (found["accurate"]["compute"] > found["fast"]["compute"]).all()


def test_an_artifact_that_does_not_load(artifact, tmp_path):
    with pytest.raises(MillisError, match="nowhere is not a millis artifact"):
        stages_of({"fast": artifact("small"), "accurate": tmp_path / "nowhere"}, TEXTS, Options())
