"""`millis predict`: which texts it answers, and that what a deadline needs is measured before the first of them."""

import io

import pytest
from omegaconf import OmegaConf
from signatures import answering

from millis.cli import predict
from millis.errors import MillisError
from millis.serving.about import About
from millis.storage.manifest import Manifest
from millis.tasks.classification import Label
from millis.types import Timed


class Recording:
    """A runner that remembers what it is asked."""

    manifest = Manifest("tiny", "", {}, answering("no", "yes"), ("input_ids", "attention_mask"), 8)

    about = About("tiny", "", "2 labels", False, False, 8, 0, "")

    def __init__(self):
        self.asked = []

    def learn_times(self):
        self.asked.append("times")

    def predict(self, text, *deadline_ms):
        self.asked.append((text, *deadline_ms))
        return Timed(Label("yes", 1, 1.0), 1, 2, 0.5, True)


def test_times_are_learnt_before_the_first_request(monkeypatch):
    for deadline_ms, asked in [(2, ["times", ("a", 2), ("b", 2)]), (None, [("a",), ("b",)])]:
        runner = Recording()
        monkeypatch.setattr(predict, "load", lambda folder, threads, trust_code, runner=runner: runner)
        cfg = OmegaConf.create({"artifact": "folder", "threads": 1, "deadline_ms": deadline_ms, "trust_code": False})
        predict.run(cfg, ["a", "b"])
        assert runner.asked == asked


@pytest.fixture(params=["file", "standard input"])
def asked(request, monkeypatch, tmp_path):
    """The texts that bytes are read as."""

    def read(content):
        runner, file = Recording(), None
        monkeypatch.setattr(predict, "load", lambda folder, threads, trust_code: runner)
        if request.param == "file":
            file = tmp_path / "texts.txt"
            file.write_bytes(content)
        else:
            monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content), encoding="latin-1", newline="\n"))
        given = {"artifact": "", "threads": 1, "deadline_ms": None, "texts": None, "file": file, "trust_code": False}
        cfg = OmegaConf.create(given)
        predict.run(cfg)
        return [text for (text,) in runner.asked]

    return read


@pytest.mark.parametrize(
    ("content", "texts"),
    [
        ("a\nb\r\nc\rd", ["a", "b", "c", "d"]),
        ("a\n\nb\n", ["a", "", "b"]),
        ("", []),
        *[(f"one{mark}line\n{mark}\n", [f"one{mark}line", mark]) for mark in "\u2028\u2029\x85\f\v\x1c\x1d\x1e"],
        ("\ufeffa\nb", ["a", "b"]),
        ("a\n\ufeffb", ["a", "\ufeffb"]),
        ("\ufeff", []),
        ("é中😀\n", ["é中😀"]),
    ],
)
def test_a_text_a_line(asked, content, texts):
    assert asked(content.encode()) == texts


def test_what_is_not_utf8_is_refused(asked):
    with pytest.raises(MillisError, match=r"(file=.*texts.txt|standard input) is not UTF-8 text: .* byte 0xe9"):
        asked("café\n".encode("latin-1"))


def test_an_application_is_not_asked_empty_lines(monkeypatch, tmp_path):
    class Application(Recording, predict.ApplicationRunner):
        writes = False

        def __init__(self):
            Recording.__init__(self)

        def predict(self, text, deadline_ms):
            assert text.strip(), "it would be refused"
            return Recording.predict(self, text, deadline_ms)

    runner, file = Application(), tmp_path / "texts.txt"
    file.write_text("a\n\n \nb\n")
    monkeypatch.setattr(predict, "load", lambda folder, threads, trust_code: runner)
    given = {"artifact": "", "threads": 1, "deadline_ms": 9, "texts": None, "file": file, "trust_code": False}
    predict.run(OmegaConf.create(given))
    assert runner.asked == ["times", ("a", 9), ("b", 9)]
