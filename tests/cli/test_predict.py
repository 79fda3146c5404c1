"""`millis predict` with a deadline: what has to be measured is measured before the first request."""

from omegaconf import OmegaConf

from millis.cli import predict
from millis.storage.manifest import Manifest
from millis.types import TimedPrediction


class Recording:
    """A runner that remembers what it is asked."""

    manifest = Manifest("tiny", "", {}, ("no", "yes"), ("input_ids", "attention_mask"), 8)

    def __init__(self):
        self.asked = []

    def learn_times(self):
        self.asked.append("times")

    def predict(self, text, *deadline_ms):
        self.asked.append((text, *deadline_ms))
        return TimedPrediction("yes", 1, 1.0, 1, 2, 0.5, True)


def test_times_are_learnt_before_the_first_request(monkeypatch):
    for deadline_ms, asked in [(2, ["times", ("a", 2), ("b", 2)]), (None, [("a",), ("b",)])]:
        runner = Recording()
        monkeypatch.setattr(predict, "load", lambda folder, threads, trust_code, runner=runner: runner)
        cfg = OmegaConf.create({"artifact": "folder", "threads": 1, "deadline_ms": deadline_ms, "trust_code": False})
        predict.run(cfg, ["a", "b"])
        assert runner.asked == asked
