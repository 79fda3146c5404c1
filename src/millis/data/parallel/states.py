"""What is said of things: how they are, what they do or will not do.

A row is English of one | German, its verb last | Chinese | which things, and marks: `+` is no complaint, `!why`
is not asked the reason of, `!fix` is no fault that can be repaired.
"""

from typing import NamedTuple

from millis.data.parallel.english import of_several
from millis.data.parallel.german import Predicate
from millis.data.parallel.lexicon import rows

STATES = """
is broken | kaputt sein | 坏了 | item
does not work | nicht funktionieren | 不能用 | power
has never worked | nie funktioniert haben | 从来没能正常使用 | power !why
no longer works | nicht mehr funktionieren | 不能用了 | power !why
is too loud | zu laut sein | 声音太大 | noisy
is too small | zu klein sein | 太小了 | item !fix
is too heavy | zu schwer sein | 太重了 | power !fix
is too expensive | zu teuer sein | 太贵了 | item !fix
arrived damaged | beschädigt angekommen sein | 送到时已经损坏 | item !why
has a scratch | einen Kratzer haben | 有一道划痕 | item
has a crack | einen Riss haben | 有一道裂缝 | item
makes strange noises | seltsame Geräusche machen | 发出奇怪的声音 | power
gets very hot | sehr heiß werden | 会变得很烫 | power
switches itself off | sich von selbst aus|schalten | 会自动关掉 | power
cannot be switched on | sich nicht einschalten lassen | 无法启动 | power
smells burnt | verbrannt riechen | 有一股焦味 | power
does not charge | nicht laden | 充不了电 | battery
charges very slowly | sehr langsam laden | 充电很慢 | battery
has the wrong colour | die falsche Farbe haben | 颜色不对 | item !fix
does not match the description | nicht der Beschreibung entsprechen | 与描述不符 | item !fix
is incomplete | unvollständig sein | 缺少零件 | item
leaks | undicht sein | 漏水 | water
vibrates too much | zu stark vibrieren | 震动得太厉害 | noisy
uses too much electricity | zu viel Strom verbrauchen | 太费电 | large !fix
reacts very slowly | sehr langsam reagieren | 反应很慢 | smart
does not find the network | das Netzwerk nicht finden | 找不到网络 | smart
keeps crashing | ständig ab|stürzen | 总是死机 | smart
keeps losing the connection | ständig die Verbindung verlieren | 总是断开连接 | smart
shows an error message | eine Fehlermeldung an|zeigen | 显示错误信息 | smart
does not fit into {my:kitchen} | nicht in {my:kitchen:acc} passen | 放不进{my:kitchen} | large !fix
does not fit {my:phone} | nicht auf {my:phone:acc} passen | 与{my:phone}不匹配 | cover !fix
is dirty | schmutzig sein | 很脏 | item !fix
looks used | gebraucht aus|sehen | 看起来像用过的 | item !fix
is easy to use | leicht zu bedienen sein | 很容易操作 | power + !why
is very practical | sehr praktisch sein | 很实用 | item + !why
works perfectly | einwandfrei funktionieren | 运转良好 | power + !why
"""


class State(NamedTuple):
    """Something that is said of a thing.

    Args:
        one, many: English of one and of more; the first is its name.
        kind: Of which things.
        good: Whether it is no complaint.
        marks: That bar it from frames.
    """

    one: str
    many: str
    german: Predicate
    chinese: str
    kind: str
    good: bool
    marks: frozenset[str]


def _state(row: str) -> State:
    one, german, chinese, rest = (part.strip() for part in row.split(" | "))
    kind, *words = rest.split()
    marks = frozenset(word for word in words if word != "+")
    return State(one, of_several(one), Predicate.of(german), chinese, kind, "+" in words, marks)


ALL = [_state(row) for row in rows(STATES)]
