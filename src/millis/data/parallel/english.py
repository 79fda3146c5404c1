"""English: noun phrases with a, an and plurals, and the forms of verbs."""

# Infinitive → past and past participle; the rest are regular.
IRREGULAR = {
    "send": ("sent", "sent"),
    "pay": ("paid", "paid"),
    "set": ("set", "set"),
    "reset": ("reset", "reset"),
    "speak": ("spoke", "spoken"),
    "make": ("made", "made"),
    "keep": ("kept", "kept"),
    "leave": ("left", "left"),
    "give": ("gave", "given"),
    "put": ("put", "put"),
    "find": ("found", "found"),
    "take": ("took", "taken"),
    "lend": ("lent", "lent"),
    "have": ("had", "had"),
    "get": ("got", "got"),
    "transfer": ("transferred", "transferred"),
    "log": ("logged", "logged"),
    "cancel": ("cancelled", "cancelled"),
    "gift-wrap": ("gift-wrapped", "gift-wrapped"),
}
DOUBLED = {"set": "setting", "reset": "resetting", "put": "putting", "log": "logging", "get": "getting"}
DOUBLED |= {"transfer": "transferring", "cancel": "cancelling", "gift-wrap": "gift-wrapping"}
PLURALS = {"mouse": "mice", "battery": "batteries"}
UNCHANGED = {"cannot", "arrived"}  # with a subject of several


def noun_phrase(noun: str, article: str, adjective: str, count: str, before: str = "") -> str:
    """Article, numeral, adjective, name and noun.

    Args:
        article: `the`, `this`, `a`, or a possessive; empty is none.
        count: A numeral for more than one, `+` for a plural without one, empty for the singular.
        before: The name of a model.
    """
    words = " ".join(filter(None, [count.strip("+"), adjective, before, plural(noun) if count else noun]))
    if article == "this":
        article = "these" if count else "this"
    if article == "a":
        article = "an" if words[0] in "aeio" else "a"
    return f"{article} {words}".strip()


def plural(noun: str) -> str:
    """More than one."""
    if noun in PLURALS:
        return PLURALS[noun]
    return noun + ("es" if noun.endswith(("s", "x", "ch", "sh")) else "s")


def participle(predicate: str) -> str:
    """`send me the bill` → `sent me the bill`"""
    verb, *rest = predicate.split(" ", 1)
    return " ".join([IRREGULAR[verb][1] if verb in IRREGULAR else _regular(verb), *rest])


def gerund(predicate: str) -> str:
    """`send me the bill` → `sending me the bill`"""
    verb, *rest = predicate.split(" ", 1)
    stem = verb[:-1] if verb.endswith("e") and not verb.endswith("ee") else verb
    return " ".join([DOUBLED.get(verb, f"{stem}ing"), *rest])


def of_several(said: str) -> str:
    """What is said of one thing, said of several: `switches itself off` → `switch themselves off`."""
    words = said.replace("itself", "themselves").split(" ")
    at = 2 if words[:2] == ["no", "longer"] else 0
    verb = words[at]
    if verb in UNCHANGED:
        return " ".join(words)
    stem = verb[:-2] if verb.endswith("ches") else verb[:-1]
    return " ".join([*words[:at], {"is": "are", "has": "have", "does": "do"}.get(verb, stem), *words[at + 1 :]])


def question(one: str, many: str, subject: str, plural_subject: bool) -> str:
    """What is said of a subject, asked: `is broken` → `is my lamp broken`, `gets hot` → `does my lamp get hot`.

    Args:
        one, many: What is said of one, and of more.
    """
    said = many if plural_subject else one
    first, _, rest = said.partition(" ")
    if first in ("is", "are", "does", "do", "can", "cannot"):
        return f"{first} {subject} {rest}" if first != "cannot" else f"can {subject} not {rest}"
    return f"do {subject} {many}" if plural_subject else f"does {subject} {many.replace('themselves', 'itself')}"


def _regular(verb: str) -> str:
    if verb.endswith("e"):
        return f"{verb}d"
    return f"{verb[:-1]}ied" if verb.endswith("y") and verb[-2] not in "aeiou" else f"{verb}ed"
