"""What is the same in every language but for how it is written: times, amounts, numbers, and what counts them."""

from random import Random
from typing import TypeAlias

from millis.data.corpus.grammar import pick
from millis.data.parallel.lexicon import Triple, rows

Value: TypeAlias = Triple | tuple[Triple, Triple]
"""A value; of a span of time that after *bis*, *hält* or *dauert* and that after *seit*, whose German differs."""


def _triples(table: str) -> list[Triple]:
    return [Triple(*(part.strip() for part in row.split("|"))) for row in rows(table)]


FUTURE = _triples("""
today | heute | 今天
tomorrow | morgen | 明天
the day after tomorrow | übermorgen | 后天
this afternoon | heute Nachmittag | 今天下午
this evening | heute Abend | 今晚
tomorrow morning | morgen früh | 明天早上
next week | nächste Woche | 下周
next month | nächsten Monat | 下个月
at the weekend | am Wochenende | 周末
in two weeks | in zwei Wochen | 两周后
""")
PAST = _triples("""
yesterday | gestern | 昨天
the day before yesterday | vorgestern | 前天
last week | letzte Woche | 上周
last month | letzten Monat | 上个月
two days ago | vor zwei Tagen | 两天前
three weeks ago | vor drei Wochen | 三周前
this morning | heute Morgen | 今天早上
at the weekend | am Wochenende | 周末
""")
SINCE = _triples("""
since yesterday | seit gestern | 从昨天开始
since this morning | seit heute Morgen | 从今天早上开始
since last week | seit letzter Woche | 从上周开始
since the weekend | seit dem Wochenende | 从周末开始
since last month | seit letztem Monat | 从上个月开始
""")
BY = _triples("""
by tomorrow | bis morgen | 明天之前
by the weekend | bis zum Wochenende | 周末之前
by next week | bis nächste Woche | 下周之前
by the end of the month | bis Ende des Monats | 月底之前
by tomorrow evening | bis morgen Abend | 明天晚上之前
""")
DAYS_OF_THE_WEEK = _triples("""
Monday | Montag | 星期一
Tuesday | Dienstag | 星期二
Wednesday | Mittwoch | 星期三
Thursday | Donnerstag | 星期四
Friday | Freitag | 星期五
Saturday | Samstag | 星期六
""")
MONTHS = _triples("""
January | Januar | 1
February | Februar | 2
March | März | 3
April | April | 4
May | Mai | 5
June | Juni | 6
July | Juli | 7
August | August | 8
September | September | 9
October | Oktober | 10
November | November | 11
December | Dezember | 12
""")
COLOURS = _triples("""
black | Schwarz | 黑色
white | Weiß | 白色
blue | Blau | 蓝色
red | Rot | 红色
green | Grün | 绿色
grey | Grau | 灰色
""")
COUNTS = _triples("""
two | zwei | 两
three | drei | 三
four | vier | 四
five | fünf | 五
six | sechs | 六
ten | zehn | 十
""")
OPENINGS = _triples("""
Hello. | Guten Tag. | 您好。
Good morning. | Guten Morgen. | 早上好。
Good evening. | Guten Abend. | 晚上好。
""")
CLOSINGS = {  # by whether the customer speaks
    True: _triples("""
It is about order {order}. | Es geht um die Bestellung {order}. | 这是关于订单{order}的。
You will find me under number {customer}. | Sie finden mich unter der Nummer {customer}. | 我的编号是{customer}。
It is urgent. | Es ist dringend. | 这件事很急。
Thank you very much. | Vielen Dank. | 非常感谢。
I look forward to your reply. | Ich freue mich auf Ihre Antwort. | 期待您的回复。
I would be grateful for a quick answer. | Für eine schnelle Antwort wäre ich dankbar. | 如能尽快答复，我将不胜感激。
"""),
    False: _triples("""
It is about order {order}. | Es geht um die Bestellung {order}. | 这是关于订单{order}的。
Please excuse the inconvenience. | Bitte entschuldigen Sie die Unannehmlichkeiten. | 给您带来不便，敬请谅解。
We are happy to help you. | Wir helfen Ihnen gern. | 我们很乐意为您效劳。
Do you have any other questions? | Haben Sie noch weitere Fragen? | 您还有其他问题吗？
"""),
}
UNITS = {  # a span of time: English, German after *bis* and after *seit*, Chinese
    "hours": Triple("hours", "Stunden Stunden", "个小时"),
    "days": Triple("days", "Tage Tagen", "天"),
    "years": Triple("years", "Jahre Jahren", "年"),
}


def amount(rng: Random) -> Triple:
    """€24.90, 24,90 Euro, 24.90欧元"""
    euros, cents = 3 + int(rng.random() * 180), pick(rng, ("00", "50", "90", "99", "20", "75"))
    return Triple(f"€{euros}.{cents}", f"{euros},{cents} Euro", f"{euros}.{cents}欧元")


def date(rng: Random) -> Triple:
    """12 March, 12. März, 3月12日"""
    month, day = pick(rng, MONTHS), 1 + int(rng.random() * 28)
    return Triple(f"{day} {month.english}", f"{day}. {month.german}", f"{month.chinese}月{day}日")


def clock(rng: Random) -> Triple:
    """3 p.m., 15 Uhr, 下午3点"""
    hour = 8 + int(rng.random() * 12)
    if hour < 12:
        return Triple(f"{hour} a.m.", f"{hour} Uhr", f"上午{hour}点")
    late = hour - 12 or 12
    return Triple(f"{late} p.m.", f"{hour} Uhr", f"{'中午' if hour == 12 else '下午' if hour < 18 else '晚上'}{late}点")


def span(rng: Random, unit: str) -> tuple[Triple, Triple]:
    """three days, drei Tage and drei Tagen, 三天"""
    count, name = pick(rng, COUNTS), UNITS[unit]
    first, second = (
        Triple(f"{count.english} {name.english}", f"{count.german} {form}", f"{count.chinese}{name.chinese}")
        for form in name.german.split()
    )
    return first, second


def _number(rng: Random, letters: str, digits: int) -> Triple:
    number = "".join(pick(rng, "123456789" if not place else "0123456789") for place in range(digits))
    return Triple(*[f"{letters}-{number}"] * 3)


def _time(rng: Random, words: list[Triple], day: Triple, dated: Triple) -> Triple:
    """Words in six of ten draws, else a day of the week or a date."""
    draw = rng.random()
    if draw < 0.6:
        return pick(rng, words)
    day_of_week, on_date = pick(rng, DAYS_OF_THE_WEEK), date(rng)
    form, value = (day, day_of_week) if draw < 0.8 else (dated, on_date)
    return Triple(*(one.replace("_", other) for one, other in zip(form, value, strict=True)))


def draw(rng: Random) -> dict[str, Value]:
    """A value of every name."""
    times = pick(rng, COUNTS[:5])
    return {
        "future": _time(rng, FUTURE, Triple("on _", "am _", "_"), Triple("on _", "am _", "_")),
        "past": _time(rng, PAST, Triple("last _", "letzten _", "上_"), Triple("on _", "am _", "_")),
        "since": _time(rng, SINCE, Triple("since _", "seit _", "从_开始"), Triple("since _", "seit dem _", "从_开始")),
        "by": _time(rng, BY, Triple("by _", "bis _", "_之前"), Triple("by _", "bis zum _", "_之前")),
        "order": _number(rng, "LK", 6),
        "customer": _number(rng, "K", 5),
        "amount": amount(rng),
        "date": date(rng),
        "clock": clock(rng),
        "colour": pick(rng, COLOURS),
        "count": Triple(times.english, f"{times.german}mal", f"{times.chinese}封"),
        **{unit: span(rng, unit) for unit in UNITS},
    }
