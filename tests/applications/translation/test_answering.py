"""Translations word by word, so answers can be read off; and what a model that was never trained makes of anything."""

import threading
from time import perf_counter_ns

import pytest
from translations import SETTINGS, WordByWord, translation_application, translator

from millis.applications.contract import Request
from millis.applications.runner import load
from millis.applications.translation.answering import _missing, _numbers_kept, assemble
from millis.applications.translation.placeholders import COUNT, FIRST
from millis.errors import MillisError

EVERY_MARK = "".join(chr(FIRST + number) for number in range(COUNT))
LIST = "The lamp:\n\n1. The lamp is old.\n- The lamp is new. The old lamp is new.\n\n   The lamp\t\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return translation_application(tmp_path_factory.mktemp("translation") / "letters")


@pytest.fixture(scope="module")
def runner(folder):
    return load(folder)


def test_lines_paragraphs_and_marks_of_lists_are_kept():
    found = translator().answer(LIST)
    expected = "die lamp:\n\n1. die Lampe ist alt.\n- die Lampe ist neu. die alt Lampe ist neu.\n\n   die Lampe\t\n"
    assert found.text == expected == found.value()
    assert (found.sentences, found.notes) == ({"translated": 5, "found": 5}, ())


def test_each_sentence_is_asked_by_itself():
    model = WordByWord()
    translator(model).answer(LIST)
    assert model.asked == ["The lamp:", "The lamp is old.", "The lamp is new.", "The old lamp is new.", "The lamp"]


def test_a_term_of_the_glossary_is_carried_over_as_a_placeholder():
    model = WordByWord()
    found = translator(model, glossary={"Old Lamp": "Ölfunzel"}).answer("The old lamp is new. The lamps lamp.")
    assert model.asked[0] == f"The {chr(FIRST)} is new."
    assert (found.text, found.terms) == ("die Ölfunzel ist neu. die lamps Lampe.", {"kept": 1, "found": 1})


def test_a_request_brings_terms_that_go_first():
    ours = translator(glossary={"lamp": "Licht", "old": "betagt"})
    given = Request("The old lamp.", ours.State({"LAMP": "Leuchte"}))
    for _, step in ours.steps:
        given = step(given)
    assert given.text == "die betagt Leuchte."
    assert given.state.glossary == {"LAMP": "Leuchte"}


def test_codes_and_names_of_other_scripts_are_kept():
    found = translator(WordByWord({"k-48213": "oh", "张伟": "oh"})).answer("张伟 K-48213 17,500 a.b@c.org is 3.")
    assert (found.text, found.notes) == ("张伟 K-48213 17,500 a.b@c.org is 3.", ())


def test_what_does_not_come_back_is_tried_with_other_placeholders_and_then_without():
    model = WordByWord(deaf=EVERY_MARK[:4])
    assert translator(model, glossary={"lamp": "Licht"}).answer("The lamp.").text == "die Licht."
    assert model.asked == [f"The {EVERY_MARK[0]}.", f"The {EVERY_MARK[4]}."]
    deaf = WordByWord(deaf=EVERY_MARK)
    found = translator(deaf, glossary={"lamp": "Licht"}).answer("The lamp 12345.")
    assert deaf.asked[-1] == "The lamp 12345." and found.text == "die Lampe 12345."
    assert found.notes == ("the translation of sentence 1 lacks 'Licht'",)
    assert found.terms == {"kept": 0, "found": 1}


def test_a_small_number_that_lacks_becomes_a_placeholder():
    model = WordByWord({"7": "sieben"})
    assert translator(model).answer("7 of 8").text == "7 of 8"
    assert model.asked == ["7 of 8", f"{EVERY_MARK[4]} of {EVERY_MARK[5]}"]


def test_a_model_that_learned_no_placeholders_is_given_none():
    model = WordByWord()
    found = translator(model, glossary={"lamp": "Licht"}, placeholders=False).answer("The lamp 48213.")
    assert model.asked == ["The lamp 48213."] and found.notes == ("the translation of sentence 1 lacks 'Licht'",)


def test_a_sentence_that_is_too_long_is_divided_and_said():
    model = WordByWord(longest=5)
    found = translator(model).answer("The lamp is old, the new lamp is old.")
    assert model.asked == ["The lamp is old,", "the new lamp is old."]
    assert found.text == "die Lampe is old, die neu Lampe ist alt.".replace("is old,", "ist old,")
    assert found.notes == ("sentence 1 is longer than the model reads at once, and translated in parts",)


def test_a_translation_that_does_not_end_is_divided_and_said():
    model = WordByWord(most=4)
    assert translator(model).answer("The lamp is old the lamp is").text == "die Lampe ist alt die Lampe ist"
    found = translator(WordByWord(most=1)).answer("The lamp.")
    assert found.notes == ("sentence 1 is perhaps not translated to the end",)


def test_what_cannot_be_divided_stays_as_it_is_and_is_said():
    found = translator(WordByWord(longest=0)).answer("Lampenfieber")
    assert found.text == "Lampenfieber"
    assert found.notes == ("sentence 1 is perhaps not translated to the end",)


def test_a_text_without_letters_is_left_and_said():
    found = translator().answer(" 12345 !!\n")
    assert (found.text, found.notes) == (" 12345 !!\n", ("the text has no letters, and was left as it stands",))


def test_sentences_of_another_script_are_left_and_said():
    found = translator().answer("The lamp. 我的灯坏了。 The lamp. 你好。")
    assert found.text == "die Lampe. 我的灯坏了。 die Lampe. 你好。"
    assert found.sentences == {"translated": 2, "found": 4}
    assert found.notes == ("sentences 2 and 4 are not in 'en', and left as it stands",)


def test_into_chinese_sentences_stand_without_blanks():
    ours = translator(WordByWord({"the": "灯", "lamp": "。"}), target="zh", blanks=False)
    assert ours.answer("The lamp. The lamp.\nThe lamp.").text.count(" ") == ours.answer("The lamp.").text.count(" ") * 3


@pytest.mark.parametrize(("text", "message"), [
    ("", "the text is empty"),
    (" \n\t", "the text is empty"),
    ("PK\x03\x04 lamp", r"character 2 of the text is U\+0003, which no text has: expected words"),
    ("\ud800", r"character 0 of the text is U\+D800"),
    ("\ufffd\ufffd lamp", "the text was decoded from something else than UTF-8"),
    ("lamp " * 300, "the text has 1500 characters: expected at most 1000 at once. Send it in parts"),
    ("我的灯坏了。", "no sentence of the text is in 'en', which is translated here"),
])  # fmt: skip
def test_what_is_no_text_is_refused_in_a_sentence(text, message):
    with pytest.raises(MillisError, match=message):
        translator(most_characters=1000).answer(text)


@pytest.mark.parametrize(
    "text", ["12345 !!", "🙂", "\u2028a", "- ", "\ue000 lamp \ue001\ue002", "a\n" * 300, "x" * 5000]
)
def test_hostile_texts_are_answered(runner, text):
    found = runner.predict(text)
    assert found.text.count("\n") == text.count("\n")


def test_pieces_come_in_order_and_are_the_answer():
    ours, said = translator(), []
    ours.spread([WordByWord(), WordByWord()])
    given = Request(LIST, None, None, lambda piece: said.append(piece) or True)
    for _, step in ours.steps:
        given = step(given)
    assert said[:2] == ["die lamp:", "\n\n1. die Lampe ist alt."]
    assert "".join(said) == given.text == translator().answer(LIST).text


def test_whoever_leaves_is_not_translated_for():
    model, said = WordByWord(), []
    ours = translator(model)
    given = Request("The lamp. " * 50, None, None, lambda piece: said.append(piece) or len(said) < 3)
    for _, step in ours.steps:
        given = step(given)
    assert len(model.asked) == 3
    assert given.notes == ("nobody read on: 3 of 50 sentences were translated",)


def test_what_there_is_no_time_for_is_said():
    given = Request("The lamp. " * 50, None, perf_counter_ns() - 1)
    ours = translator()
    for _, step in ours.steps:
        given = step(given)
    assert given.text == "die Lampe."
    assert given.notes == ("the time was up: 1 of 50 sentences were translated",)
    assert given.sentences == {"translated": 1, "found": 50}


def test_it_is_judged_end_to_end():
    rows = [{"source": "The lamp 48213 is old.", "target": "die Lampe 48213 ist alt."},
            {"source": "The lamp is 12.", "target": "die Lampe ist zwölf."}]  # fmt: skip
    found = {one.name: one.value for one in translator(glossary={"old": "alt"}).judge(rows)}
    assert [*found] == ["bleu", "chrf", "numbers_kept", "terms_kept"]
    assert found["numbers_kept"] == found["terms_kept"] == 100  # 12 is not in the reference
    assert [one.name for one in translator().judge(rows[1:])] == ["bleu", "chrf"]


def test_more_threads_say_the_same(folder, runner):
    several = load(folder, threads=3)
    assert len(several.application._pool.runners) == 3
    text = "The lamp is old. " * 12 + "\n" + LIST
    assert several.predict(text) == runner.predict(text)
    answers = []
    asking = [threading.Thread(target=lambda: answers.append(several.predict(text).text)) for _ in range(3)]
    for one in asking:
        one.start()
    for one in asking:
        one.join()
    assert answers == [runner.predict(text).text] * 3


def test_it_says_what_it_is(runner):
    assert runner.about.answers == "a translation from en to de"
    assert runner.writes and runner.about.keeps_state
    assert [name for name, _ in runner.stages] == ["read", "split", "terms", "translate", "join"]
    with pytest.raises(MillisError, match=r"the term 'OLD' is to be both 'a' and 'b'; expected one. Leave one of them"):
        runner.predict(("old", {"glossary": {"old": "a", "OLD": "b"}}))


def test_a_part_that_does_not_translate_is_refused(runner):
    with pytest.raises(MillisError, match="the part 'translate' writes no text for a text"):
        assemble(SETTINGS, {}, None)
    assert assemble(SETTINGS, runner.parts, None).answer("The lamp.").sentences["found"] == 1


def test_what_the_model_leaves_empty_stays_and_is_said():
    found = translator(WordByWord(deaf={"die", "Lampe", "."})).answer("The lamp. The old lamp.")
    assert found.text.startswith("The lamp. ") and found.notes == ("sentence 1 is perhaps not translated to the end",)


def test_a_term_that_stands_once_where_it_should_twice_lacks():
    class Once(WordByWord):
        def replied(self, text):
            said = super().replied(text)
            first = next((letter for letter in said.text if letter in EVERY_MARK), "\0")
            return said._replace(text=said.text.replace(first, "", 1)) if said.text.count("die") == 2 else said

    found = translator(Once(), glossary={"lamp": "Leuchte"}).answer("The lamp is the lamp.")
    assert found.terms == {"kept": 1, "found": 2} and found.notes == ("the translation of sentence 1 lacks 'Leuchte'",)


def test_more_notes_than_are_told_are_counted():
    found = translator(WordByWord({"k-48213": "oh"}), placeholders=False).answer(
        " ".join(["Is K-48213 the lamp?"] * 12)
    )
    assert len(found.notes) == 11 and found.notes[-1] == "the translations of 2 more sentences lack something"


def test_no_sentence_is_tried_again_when_the_time_is_up():
    class Endless(WordByWord):
        def replied(self, text):
            return super().replied(text)._replace(ended="length")

    model, text = Endless(), ", ".join(["the lamp is old and new"] * 8)
    given = Request(text, until_ns=perf_counter_ns())
    for _, step in translator(model).steps:
        given = step(given)
    assert len(model.asked) == 1 and "sentence 1 is perhaps not translated to the end" in given.notes


@pytest.mark.parametrize(("language", "scripts", "word"), [("en", ["LATIN"], "A "), ("zh", ["CJK"], "㐀 ")])
def test_it_is_warmed_with_letters_of_its_language(language, scripts, word):
    ours = translator(source=language, scripts=scripts)
    assert ours.word == word
    assert ours.answer(ours.word * 128).sentences["translated"] > 0


def test_numbers_and_terms_are_counted_as_words_of_their_own():
    assert _missing("5", ["5"], "Es kostet 15 Euro.") and not _missing("5", ["5"], "Es kostet 5 Euro.")
    assert _missing("Leuchte", ["Leuchte", "Leuchte"], "Eine Leuchte.")  # which should stand there twice
    assert _numbers_kept({"source": "5 lamps", "target": "5 Lampen"}, "15 Lampen") == (0, 1)
