"""Chinese: noun phrases with measure words, and predicates with the particle of what is done.

A predicate has `‖` where 了 stands once it is done: `退回‖台灯` → `退回台灯`, `退回了台灯`.
"""


def noun_phrase(noun: str, measure: str, article: str, adjective: str, count: str, before: str = "") -> str:
    """Demonstrative or owner, number and measure word, adjective, name and noun.

    Args:
        article: `the`, `this`, `a`, or an owner with 的; empty is none.
        adjective: With 的 where it takes one.
        count: A numeral for more than one, `+` for a plural without one, empty for the singular.
        before: The name of a model.
    """
    counted = f"{count}{measure}" if count.strip("+") else ""
    if article == "a":
        counted = f"一{measure}"
    elif article == "this":
        counted = f"这{counted or ('些' if count else measure)}"
    elif article == "the":
        counted = f"那{counted or '些'}" if count else ""
    elif article and not counted:  # 我的蓝色冰箱, but 我的两台蓝色的冰箱
        counted, adjective = article, adjective.removesuffix("的")
    else:
        counted = f"{article}{counted}"
    return f"{counted}{adjective}{before}{noun}"


def plain(predicate: str) -> str:
    """What is to be done."""
    return predicate.replace("‖", "")


def done(predicate: str) -> str:
    """What is done."""
    return predicate.replace("‖", "了")
