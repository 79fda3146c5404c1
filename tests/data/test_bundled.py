"""The bundled corpus as a data set: whole, clean and reachable without a path."""

from millis.data.bundled import FOLDER, Bundled


def test_it_is_read_with_its_own_names():
    data = Bundled()()
    assert data.name == "bundled"
    assert list(data.labels) == (FOLDER / "labels.txt").read_text().splitlines()
    assert data.notes == []
    for split in (data.train, data.validation, data.test):
        assert set(split.references) == set(range(len(data.labels)))


def test_no_text_is_in_two_splits():
    data = Bundled()()
    train, validation, test = (set(split.texts) for split in (data.train, data.validation, data.test))
    assert not (train & validation or train & test or validation & test)


def test_name_and_limit_are_passed_on():
    data = Bundled(name="small", limit=50)()
    assert (data.name, len(data.train), len(data.validation), len(data.test)) == ("small", 50, 50, 50)
