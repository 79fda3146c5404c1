"""Artifacts with a smaller model that guesses: the same text, and what was right of the guesses."""

import json
from dataclasses import replace

import numpy as np
import pytest
from causal import TEXTS, TOKENIZER, speaker, written

from millis.backends.artifact import write_artifact
from millis.backends.eager import Eager
from millis.benchmark.statistics import guessed
from millis.described import described
from millis.errors import MillisError
from millis.generation.draft.lookup import Lookup
from millis.generation.draft.smaller_model import SmallerModel
from millis.generation.greedy import Greedy
from millis.models import byte_pairs
from millis.serving import stepwise
from millis.serving.runner import load
from millis.storage.manifest import DRAFT, FILE_NAME, open_manifest, seal


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    place = tmp_path_factory.mktemp("guessing")
    plain = written(place / "plain", speaker(), generation=described(Greedy(max_tokens=16)))
    return place, plain


def with_draft(folders, name, draft, smaller=None, tokenizer=None):
    """The artifact again with something that guesses."""
    place, plain = folders
    manifest = open_manifest(plain)
    generation = described(Greedy(max_tokens=16, draft=draft))
    changed = replace(manifest, generation=generation, files={}, name="guessing")
    folder = place / name
    write_artifact(folder, speaker(), tokenizer or TOKENIZER, Eager(), changed, None, draft=smaller)
    return load(folder)


def test_guesses_change_no_text(folders):
    _, plain = folders
    alone = load(plain)
    guessing = SmallerModel(artifact=str(plain))
    for runner in (with_draft(folders, "lookup", Lookup()), with_draft(folders, "model", guessing, plain)):
        for text in TEXTS[:4]:
            assert runner.predict(text).tokens == alone.predict(text).tokens


def test_a_model_that_guesses_for_itself_is_always_right(folders):
    _, plain = folders
    runner = with_draft(folders, "itself", SmallerModel(artifact=str(plain)), plain)
    assert (runner.manifest.files[f"{DRAFT}/manifest.json"]["bytes"]) > 0
    runner.at_length(12)
    reply = runner.predict(TEXTS[0])
    assert reply.accepted > 0 and reply.refused == 0


def test_a_smaller_model_of_other_tokens_is_refused(folders):
    place, plain = folders
    other = byte_pairs.train(["other words"], 270)
    with pytest.raises(MillisError) as caught:
        with_draft(folders, "other", SmallerModel(artifact=str(plain)), plain, other)
    assert str(caught.value) == (
        f"the smaller model in {plain} has another tokenizer than the model that it guesses for: expected a student of "
        "the same teacher, with its whole vocabulary"
    )
    assert not (place / "other").exists()


@pytest.mark.parametrize(
    ("backend", "said"), [("inductor", "is machine code"), ("openvino", "does not write token by")]
)
def test_a_smaller_model_is_trusted_no_more_than_the_larger(folders, backend, said, monkeypatch):
    """One that names another runtime is refused before anything of it is loaded."""
    _, plain = folders
    runner = with_draft(folders, backend, SmallerModel(artifact=str(plain)), plain)
    folder = plain.parent / backend
    values = json.loads((folder / DRAFT / FILE_NAME).read_text())
    (folder / DRAFT / FILE_NAME).write_text(json.dumps({**values, "backend": backend}))
    seal(folder, replace(runner.manifest, files={}))
    opened, whole = [], stepwise.load_model

    def watched(place, *rest):
        opened.append(place.name)
        return object() if place.name == DRAFT else whole(place, *rest)

    monkeypatch.setattr(stepwise, "load_model", watched)
    with pytest.raises(MillisError, match=said):
        load(folder)
    assert opened == ([backend] if backend == "inductor" else [backend, DRAFT])


def test_a_share_of_guesses_by_hand():
    assert guessed([{"accepted": 3, "refused": 1}, {"accepted": 0, "refused": 2}]) == {"accepted_share": 0.5}
    assert guessed([{"accepted": 0, "refused": 0}]) == {}
    assert np.isclose(guessed([{"accepted": 1, "refused": 0}])["accepted_share"], 1)
