"""The rule of the CLINC150 chain, on numbers made up by hand."""

import importlib.util
import json
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "experiments" / "clinc150_chain"


@pytest.fixture(scope="module")
def chain():
    spec = importlib.util.spec_from_file_location("clinc150_chain", FOLDER / "run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def summary(total=6.0, low=-0.2, high=0.4, step=1.5):
    return {
        "seeds": [0, 1, 2],
        "rungs": {"student onnx int8": {"speedup": [total, 0.1]}},
        "difference": {"mean": (low + high) / 2, "low": low, "high": high},
        "steps": {"student / teacher": 2.0, "student onnx / student": step},
    }


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ({}, "reproduced"),
        ({"total": 2.4}, "not reproduced"),
        ({"low": -2.5, "high": -1.6}, "not reproduced"),
        ({"low": -1.4, "high": -0.6}, "direction only"),
        ({"low": -0.6, "high": 0.2}, "inconclusive"),
        ({"total": 3.0}, "inconclusive"),
        ({"step": 1.1}, "inconclusive"),
    ],
)
def test_verdict(chain, numbers, expected):
    word, reasons = chain.verdict(summary(**numbers))
    assert word == expected
    assert len(reasons) == 3, "a verdict comes with all its numbers"


def test_summary_of_two_seeds(chain):
    """Teacher right 3 and 2 of 4, student 3 and 4 of 4: 62.5 and 87.5 on average, the student 25 points above."""

    def run(seed, teacher, student, ms):
        right = dict.fromkeys(chain.RUNGS, student) | {"teacher": teacher}
        speedup = dict(zip(chain.RUNGS, (1.0, 2.0, 3.0, 4.0, 8.0), strict=True))
        latency = dict.fromkeys(chain.RUNGS, ms)
        return {"seed": seed, "right": right, "speedup": speedup, "latency_p50_ms": latency, "scores": {}, "notes": []}

    found = chain.summarise([run(0, [1, 1, 1, 0], [1, 1, 1, 0], 1.0), run(1, [1, 1, 0, 0], [1, 1, 1, 1], 3.0)])
    assert found["rungs"]["teacher"]["accuracy"][0] == 62.5
    assert found["rungs"]["student onnx int8"]["accuracy"][0] == 87.5
    assert found["rungs"]["student"]["latency_p50_ms"] == [2.0, pytest.approx(2**0.5)]
    assert found["difference"]["mean"] == 25
    assert 0 <= found["difference"]["low"] <= 25 <= found["difference"]["high"] <= 100
    assert found["steps"] == {
        "student / teacher": 2,
        "student onnx / student": 2,
        "student onnx int8 / student onnx": 2,
    }


def test_published_rungs_are_ours(chain):
    published = json.loads((FOLDER / "published.json").read_text())
    assert [row["rung"] for row in published["rungs"]] == list(chain.RUNGS)
