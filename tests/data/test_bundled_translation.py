"""The bundled parallel corpus as a data set: either way, without a path."""

import pytest

from millis.data.bundled_translation import BundledTranslation
from millis.data.written import Written
from millis.errors import MillisError


def test_it_is_read_either_way():
    data, back = BundledTranslation()(Written("de")), BundledTranslation(text="de")(Written("en"))
    assert data.name == "bundled_translation" and data.notes == back.notes == []
    assert (len(data.train), len(data.validation), len(data.test)) == (8000, 800, 1200)
    for one, other in ((data.train, back.train), (data.test, back.test)):
        assert one.texts == other.references and one.references == other.texts
    chinese = BundledTranslation(text="en")(Written("zh"))
    assert chinese.test.texts == data.test.texts and all(text[0] >= "\u4e00" for text in chinese.test.references[:9])


def test_no_text_is_in_two_splits():
    for text, column in (("en", "de"), ("zh", "en")):
        data = BundledTranslation(text=text)(Written(column))
        splits = (data.train, data.validation, data.test)
        for texts in ([set(split.texts) for split in splits], [set(split.references) for split in splits]):
            train, validation, test = texts
            assert not (train & validation or train & test or validation & test)


def test_name_and_limit_are_passed_on():
    data = BundledTranslation(name="small", limit=50)(Written("zh"))
    assert (data.name, len(data.train), len(data.validation), len(data.test)) == ("small", 50, 50, 50)


def test_a_language_that_is_not_there_is_refused():
    with pytest.raises(MillisError, match=r"bundled_translation, train has no column 'fr': found en, de, zh"):
        BundledTranslation()(Written("fr"))
    with pytest.raises(MillisError, match="column 'en' is both the text that is read and the one to write"):
        BundledTranslation()(Written("en"))
