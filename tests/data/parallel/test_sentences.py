"""Sentences in three languages, against what a speaker of each would write."""

import pytest

from millis.data.parallel import frames
from millis.data.parallel.actions import OF_CUSTOMERS, OF_THE_COMPANY
from millis.data.parallel.lexicon import DESCRIPTIONS, THINGS, Triple
from millis.data.parallel.sentences import Meaning, Phrase, phrase_in_german, written
from millis.data.parallel.states import ALL as STATES

TIMES = {
    "future": Triple("tomorrow", "morgen", "明天"),
    "past": Triple("yesterday", "gestern", "昨天"),
    "since": Triple("since Monday", "seit Montag", "从星期一开始"),
    "by": Triple("by Friday", "bis Freitag", "星期五之前"),
}
THING = {thing.english: thing for thing in THINGS}
ADJECTIVE = {one.english: one for one in DESCRIPTIONS}
TWO = Triple("two", "zwei", "两")
LAMP, PHONES = Phrase(THING["desk lamp"], "my"), Phrase(THING["phone"], "the", numeral=TWO)
ALARM = Phrase(THING["alarm clock"], "this", ADJECTIVE["red"])


def frame(begins, table):
    (found,) = [one.said for one in table if one.said.english.startswith(begins)]
    return found


def action(begins, kind=""):
    return next(one for one in [*OF_CUSTOMERS, *OF_THE_COMPANY] if one.key.startswith(begins) and kind in one.kind)


def state(name):
    return next(one for one in STATES if one.one == name)


@pytest.mark.parametrize(("begins", "table", "doing", "mine", "x", "expected"), [
    ("Can I {do}?", frames.BY_CUSTOMERS, "return {x}", True, LAMP,
     ("Can I return my desk lamp?", "Kann ich meine Schreibtischlampe zurückgeben?", "我可以退回我的台灯吗？")),
    ("Before I", frames.BY_CUSTOMERS, "send back", True, ALARM,
     ("Before I send back this red alarm clock, I have another question.",
      "Bevor ich diesen roten Wecker zurückschicke, habe ich noch eine Frage.",
      "在寄回这个红色的闹钟之前，我还有一个问题。")),
    ("I have decided", frames.BY_CUSTOMERS, "log in", True, None,
     ("I have decided to log in to my account.", "Ich habe mich entschieden, mich in meinem Konto anzumelden.",
      "我决定登录我的账户。")),
    ("I have already", frames.BY_CUSTOMERS, "switch to a cheaper", True, None,
     ("I have already switched to a cheaper plan.", "Ich bin bereits in einen günstigeren Tarif gewechselt.",
      "我已经换成了更便宜的套餐。")),
    ("Please {do}", frames.TO_CUSTOMERS, "make a complaint", False, None,
     ("Please make a complaint by Friday.", "Bitte beschweren Sie sich bis Freitag.", "请您在星期五之前投诉。")),
    ("To {do}", frames.TO_CUSTOMERS, "update the software", False, PHONES,
     ("To update the software of the two phones, you need your customer number.",
      "Um die Software der zwei Handys zu aktualisieren, benötigen Sie Ihre Kundennummer.",
      "要更新那两部手机的软件，您需要提供客户号。")),
    ("Why have you", frames.OF_CUSTOMERS_WISHES, "call {me} back", True, None,
     ("Why have you not called me back yet?", "Warum haben Sie mich noch nicht zurückgerufen?",
      "你们为什么还没有给我回电话？")),
    ("If you do not", frames.OF_CUSTOMERS_WISHES, "collect", True, LAMP,
     ("If you do not collect my desk lamp by Friday, I will cancel my contract.",
      "Wenn Sie meine Schreibtischlampe bis Freitag nicht abholen, kündige ich meinen Vertrag.",
      "如果你们在星期五之前不上门取走我的台灯，我就解除合同。")),
    ("Thank you for {doing}", frames.OF_CUSTOMERS_WISHES, "lend", True, None,
     ("Thank you for lending me a replacement device so quickly.",
      "Vielen Dank, dass Sie mir so schnell ein Ersatzgerät geliehen haben.", "谢谢你们这么快就借给了我一台备用机。")),
    ("As soon as your", frames.BY_THE_COMPANY, "collect", False, LAMP,
     ("As soon as your payment arrives, we will collect your desk lamp.",
      "Sobald Ihre Zahlung eingeht, holen wir Ihre Schreibtischlampe ab.", "一收到您的付款，我们就上门取走您的台灯。")),
    ("We are sorry", frames.BY_THE_COMPANY, "send {me} {x} by email", False, Phrase(THING["invoice"], "the"),
     ("We are sorry that we have not sent you the invoice by email yet.",
      "Es tut uns leid, dass wir Ihnen die Rechnung noch nicht per E-Mail geschickt haben.",
      "很抱歉，我们还没有用邮件给您发发票。")),
    ("I will ask", frames.BY_THE_COMPANY, "inform", False, None,
     ("I will ask my colleague to inform you by text message tomorrow.",
      "Ich bitte meine Kollegin, Sie morgen per SMS zu informieren.", "我会请同事明天用短信通知您。")),
])  # fmt: skip
def test_what_is_done(begins, table, doing, mine, x, expected):
    assert written(frame(begins, table), Meaning(mine, TIMES, x, action=action(doing))) == expected


@pytest.mark.parametrize(("begins", "table", "said", "x", "expected"), [
    ("Unfortunately {x} {is}", frames.SAID_OF_THINGS, "switches itself off", ALARM,
     ("Unfortunately this red alarm clock switches itself off.",
      "Leider schaltet sich dieser rote Wecker von selbst aus.", "很遗憾，这个红色的闹钟会自动关掉。")),
    ("I am writing", frames.SAID_OF_THINGS, "cannot be switched on", PHONES,
     ("I am writing to you because the two phones cannot be switched on.",
      "Ich schreibe Ihnen, weil sich die zwei Handys nicht einschalten lassen.",
      "我写信给你们，是因为那两部手机无法启动。")),
    ("Why", frames.SAID_OF_THINGS, "keeps crashing", PHONES,
     ("Why do the two phones keep crashing?", "Warum stürzen die zwei Handys ständig ab?",
      "为什么那两部手机总是死机？")),
    ("Although", frames.SAID_OF_THINGS, "arrived damaged", LAMP,
     ("Although my desk lamp is new, it arrived damaged.",
      "Obwohl meine Schreibtischlampe neu ist, ist sie beschädigt angekommen.",
      "我的台灯虽然是新的，但是送到时已经损坏。")),
    ("Although", frames.SAID_OF_THINGS, "has never worked", PHONES,
     ("Although the two phones are new, they have never worked.",
      "Obwohl die zwei Handys neu sind, haben sie nie funktioniert.", "那两部手机虽然是新的，但是从来没能正常使用。")),
    ("{X} that I bought", frames.SAID_OF_THINGS_GOT, "is broken", LAMP._replace(article="the"),
     ("The desk lamp that I bought yesterday is broken.",
      "Die Schreibtischlampe, die ich gestern gekauft habe, ist kaputt.",
      "我昨天买的台灯坏了。")),
    ("Unfortunately {x} that", frames.SAID_OF_THINGS_GOT, "switches itself off", ALARM._replace(article="the"),
     ("Unfortunately the red alarm clock that I got yesterday switches itself off.",
      "Leider schaltet sich der rote Wecker, den ich gestern bekommen habe, von selbst aus.",
      "很遗憾，我昨天收到的红色的闹钟会自动关掉。")),
    ("{X} that {were}", frames.SAID_OF_THINGS_GOT, "looks used", PHONES,
     ("The two phones that were delivered yesterday look used.",
      "Die zwei Handys, die gestern geliefert wurden, sehen gebraucht aus.",
      "昨天送来的那两部手机看起来像用过的。")),
])  # fmt: skip
def test_what_is_said(begins, table, said, x, expected):
    assert written(frame(begins, table), Meaning(True, TIMES, x, state=state(said))) == expected


def test_a_reason_speaks_of_the_thing_by_its_pronoun():
    meaning = Meaning(True, TIMES, ALARM, action=action("exchange"), state=state("is too loud"))
    assert written(frame("I would like to {do} because", frames.REASONS), meaning) == (
        "I would like to exchange this red alarm clock because it is too loud.",
        "Ich möchte diesen roten Wecker umtauschen, weil er zu laut ist.",
        "我想调换这个红色的闹钟，因为它声音太大。",
    )
    meaning = Meaning(True, TIMES, PHONES, action=action("repair"), state=state("does not charge"))
    assert written(frame("Can you {do}? {It}", frames.REASONS), meaning) == (
        "Can you repair the two phones? They do not charge.",
        "Können Sie die zwei Handys reparieren? Sie laden nicht.",
        "您能修理那两部手机吗？它们充不了电。",
    )


def test_prepositions_and_articles_run_together():
    meaning = Meaning(True, TIMES, Phrase(THING["phone"], "the"), action=action("upload a photo"))
    assert (
        written(frame("Can I {do}?", frames.BY_CUSTOMERS), meaning).german == "Kann ich ein Foto vom Handy hochladen?"
    )


def test_a_phrase_belongs_to_the_customer_whoever_speaks():
    assert [phrase_in_german(LAMP, "dat", mine) for mine in (True, False)] == [
        "meiner Schreibtischlampe", "Ihrer Schreibtischlampe"
    ]  # fmt: skip
    assert (LAMP.gender, PHONES.gender, PHONES.person) == ("f", "p", "wir")


def test_stops_and_capitals():
    said = Triple("{x} is here. It opens at {clock}.", "{x:nom} ist da. Ab {clock}.", "{x}。{clock}。")
    clock = {"clock": Triple("9 a.m.", "9 Uhr", "上午9点")}
    assert written(said, Meaning(True, clock, LAMP)) == (
        "My desk lamp is here. It opens at 9 a.m.", "Meine Schreibtischlampe ist da. Ab 9 Uhr.", "我的台灯。上午9点。"
    )  # fmt: skip
