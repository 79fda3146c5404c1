"""Where an application is built: other data and parts lie beside what was there, and what was made here is trusted."""

from types import SimpleNamespace

import pytest

from millis.applications.customer_service.plan import CustomerService
from millis.pipeline import application
from millis.pipeline.application import CHAINS, corpus_of, folders_of, inputs_of, put_together
from millis.pipeline.place import Place
from millis.storage.manifest import FILE_NAME


class Shipped:
    """A plan whose corpus is one file."""

    name = "shipped"

    def __init__(self, text):
        self._text = text

    def write_corpus(self, folder):
        (folder / "train.jsonl").write_text(self._text)

    def check(self, corpus):
        assert (corpus / "train.jsonl").is_file()

    def prepare(self, corpus, folder):
        (folder / "part.jsonl").write_text((corpus / "train.jsonl").read_text().upper())

    def inputs(self, corpus, folder):
        return {"part": [(folder / "part.jsonl").read_text(), str(folder)]}


def test_corpora_of_one_name_lie_beside_each_other(tmp_path):
    place = Place.under(tmp_path)
    one, other = (corpus_of(Shipped(text), None, place) for text in ("a", "b"))
    assert (one / "train.jsonl").read_text() == "a" and (other / "train.jsonl").read_text() == "b"
    assert corpus_of(Shipped("a"), None, place) == one
    first, second = (inputs_of(Shipped(""), corpus, place)["part"] for corpus in (one, other))
    assert (first[0], second[0]) == ("A", "B") and first[1] != second[1]


@pytest.fixture
def built(tmp_path):
    """Data and an artifact's manifest."""
    for name in ("corpus", "part"):
        (tmp_path / name).mkdir()
    (tmp_path / "corpus" / "answers.jsonl").write_text("{}")
    (tmp_path / "part" / FILE_NAME).write_text("{}")
    return tmp_path


def test_what_is_built_of_something_else_has_another_name(built):
    def compressed(**changes):
        artifacts = {chain: {"intent": built / "part"} for chain in CHAINS}
        plan = CustomerService("service", {}, **changes)
        folders = folders_of(plan, built / "corpus", artifacts, Place.under(built))
        assert folders["uncompressed"] != folders["compressed"]
        return folders["compressed"]

    first = compressed()
    assert first.parent == built / "applications" and first.name.startswith("service-compressed-")
    assert compressed() == first
    names = {first, compressed(acceptance=0.5)}
    (built / "corpus" / "answers.jsonl").write_text("other answers")
    names.add(compressed())
    (built / "part" / FILE_NAME).write_text("another artifact")
    names.add(compressed())
    assert len(names) == 4


def test_machine_code_that_was_made_here_is_trusted(built, monkeypatch):
    trusted = []

    def load(folder, verify, trust_code=False):
        trusted.append(trust_code)
        return SimpleNamespace(judge=lambda rows: ())

    for name in ("load", "load_artifact"):
        monkeypatch.setattr(application, name, load)
    monkeypatch.setattr(application, "seal", lambda *given, **described: None)
    monkeypatch.setattr(CustomerService, "settle", lambda *given: {})
    artifacts = {"intent": built / "part"}
    put_together(CustomerService("service", {}), built / "corpus", artifacts, built / "app", ())
    assert trusted == [True, True]
