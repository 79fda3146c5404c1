"""New items are found by what they are called, in an application that was built without them."""

import json

import pytest
from stories import stories_application

from millis.applications.recommendation.extending import extend
from millis.applications.runner import load
from millis.errors import MillisError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return stories_application(tmp_path_factory.mktemp("stories") / "stories")


def write(path, *items):
    path.write_text("".join(json.dumps(item) + "\n" for item in items))
    return path


def test_a_new_item_is_recommended_by_its_text(folder, tmp_path):
    new = write(tmp_path / "new.jsonl", {"item": "wreck", "title": "sea"})
    wider = load(extend(folder, new, tmp_path / "wider"))
    assert load(folder).predict(("", {"history": ["tide"]})).items[0] == "reef"
    # (3, 0) with reef's (4, 0) is 12, and with that of the new one, 4 * (1, 0), less its popularity of -2, is 10.
    found = wider.predict(("", {"history": ["tide"]}))
    assert found.items[:3] == ("reef", "wreck", "famous")
    assert found.scores[:2] == pytest.approx((12.0, 10.0))
    assert wider.predict(("", {"history": ["wreck"]})).items[0] == "reef"
    assert wider.about.answers == "items of a catalogue of 6 (every one of 6 items is looked at)"


@pytest.mark.parametrize(("items", "message"), [
    ([{"item": "reef", "title": "again"}], "item 'reef' is in the catalogue already: expected new ones"),
    ([{"name": "x"}], "has no column 'item'"),
])  # fmt: skip
def test_what_is_no_new_item_is_refused(folder, tmp_path, items, message):
    with pytest.raises(MillisError, match=message):
        extend(folder, write(tmp_path / "new.jsonl", *items), tmp_path / "wider")
    assert not (tmp_path / "wider").exists()


def test_a_file_of_items_is_expected(folder, tmp_path):
    with pytest.raises(MillisError, match=r"no.txt2 is no file of items: expected one that ends in one of \.jsonl"):
        extend(folder, tmp_path / "no.txt2", tmp_path / "wider")


def test_other_artifacts_recommend_nothing(folder, tmp_path):
    with pytest.raises(MillisError, match="encoder recommends nothing"):
        extend(folder / "encoder", tmp_path / "new.jsonl", tmp_path / "wider")
