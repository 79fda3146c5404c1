"""Scripts by letters' names."""

import pytest

from millis.applications.translation.scripts import foreign, script, scripts_of, share


def test_a_language_has_the_scripts_of_a_tenth_of_its_letters():
    assert scripts_of(["これは新しいカメラです", "漢"]) == ("HIRAGANA", "KATAKANA", "CJK")
    assert scripts_of(["a" * 95 + "жжжжж"]) == ("LATIN",)
    assert scripts_of(["12"]) == ()


@pytest.mark.parametrize(("letter", "name"), [("ß", "LATIN"), ("Ω", "GREEK"), ("猫", "CJK"), ("\ue000", "UNKNOWN")])
def test_letters_have_a_script(letter, name):
    assert script(letter) == name


def test_how_much_of_a_text_is_in_a_script():
    assert share("ab 猫! 3 Ж", ("LATIN", "CJK")) == 3 / 4


@pytest.mark.parametrize(("text", "expected"), [
    ("ab 猫 cd", ["猫"]), ("Война и мир, том-2", ["Война и мир", "том"]), ("猫", ["猫"]), ("ab 12", []),
])  # fmt: skip
def test_runs_of_other_scripts_are_found(text, expected):
    assert [text[begin:end] for begin, end in foreign(text, ("LATIN",))] == expected
