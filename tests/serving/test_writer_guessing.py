"""Artifacts with a smaller model that guesses: the same text, and what was right of the guesses."""

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
from millis.serving.runner import load
from millis.storage.manifest import DRAFT, open_manifest


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    place = tmp_path_factory.mktemp("guessing")
    plain = written(place / "plain", speaker(), generation=described(Greedy(max_tokens=16)))
    return place, plain


def with_draft(folders, draft, smaller=None, tokenizer=None):
    """The artifact again with something that guesses."""
    place, plain = folders
    manifest = open_manifest(plain)
    generation = described(Greedy(max_tokens=16, draft=draft))
    changed = replace(manifest, generation=generation, files={}, name="guessing")
    folder = place / f"{type(draft).__name__}{'' if smaller is None else smaller.name}"
    write_artifact(folder, speaker(), tokenizer or TOKENIZER, Eager(), changed, None, draft=smaller)
    return load(folder)


def test_guesses_change_no_text(folders):
    _, plain = folders
    alone = load(plain)
    for runner in (with_draft(folders, Lookup()), with_draft(folders, SmallerModel(artifact=str(plain)), plain)):
        for text in TEXTS[:4]:
            assert runner.predict(text).tokens == alone.predict(text).tokens


def test_a_model_that_guesses_for_itself_is_always_right(folders):
    _, plain = folders
    runner = with_draft(folders, SmallerModel(artifact=str(plain)), plain)
    assert (runner.manifest.files[f"{DRAFT}/manifest.json"]["bytes"]) > 0
    runner.at_length(12)
    reply = runner.predict(TEXTS[0])
    assert reply.accepted > 0 and reply.refused == 0


def test_a_smaller_model_of_other_tokens_is_refused(folders):
    place, plain = folders
    other = byte_pairs.train(["other words"], 270)
    with pytest.raises(MillisError) as caught:
        with_draft(folders, SmallerModel(artifact=str(plain)), plain, other)
    assert str(caught.value) == (
        f"the smaller model in {plain} has another tokenizer than the model that it guesses for: expected a student of "
        "the same teacher, with its whole vocabulary"
    )
    assert not (place / "SmallerModelother").exists()


def test_a_share_of_guesses_by_hand():
    assert guessed([{"accepted": 3, "refused": 1}, {"accepted": 0, "refused": 2}]) == {"accepted_share": 0.5}
    assert guessed([{"accepted": 0, "refused": 0}]) == {}
    assert np.isclose(guessed([{"accepted": 1, "refused": 0}])["accepted_share"], 1)
