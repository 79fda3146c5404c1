"""The particulars of a message, found by their form: a parser, no model, in microseconds and in any language.

order_number: 5 to 12 digits, after up to three capitals (`LK48213`, `48213907`)
amount: a number with a currency before or after it (`£18.50`, `30 euros`, `25元`), its thousands divided by commas or
points or not (`£1,250.00`, `€ 1.234,50`); one that goes on behind that is none
email: an address (RFC 5321 without quotes)
phone: 9 to 15 digits, divided by blanks, hyphens or brackets or not, that begin with 0 or +

What is not of such a form, such as a name, is not looked for. Of several of one kind the last counts: people correct
themselves. Every expression reads a text once, without going back over it.
"""

import re

READ = 2_000  # characters of a message that are looked through
_NUMBER = (
    r"(?:[0-9]{1,3}(?:,[0-9]{3}){1,3}(?:\.[0-9]{1,2})?|[0-9]{1,3}(?:\.[0-9]{3}){1,3}(?:,[0-9]{1,2})?"
    r"|[0-9]{1,9}(?:[.,][0-9]{1,2})?)"
)
_FORMS = {
    "email": r"(?<![\w.+-])[A-Za-z0-9_.+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,4}",
    "phone": r"(?<![0-9A-Za-z])(?:\+[0-9]|\(?0[0-9])(?:[ ()-]{0,2}[0-9]){7,13}(?![0-9])",
    "amount": (
        rf"[£$€¥]\s?{_NUMBER}(?![.,]?[0-9])"
        rf"|(?<![0-9.,]){_NUMBER}\s?(?:pounds?|dollars?|euros?|yuan|元|块)"
    ),
    "order_number": r"(?<![0-9A-Za-z])(?:[A-Z]{1,3}[ -]?)?[0-9]{5,12}(?![0-9A-Za-z])",
}
_EXPRESSIONS = {kind: re.compile(form) for kind, form in _FORMS.items()}
KINDS = tuple(_FORMS)  # in the order in which they are looked for: a telephone number is no order's


def particulars(text: str) -> dict[str, str]:
    """Kind → what was said, as it was written."""
    left, found = text[:READ], {}
    for kind, expression in _EXPRESSIONS.items():
        if spans := [match.span() for match in expression.finditer(left)]:
            found[kind] = left[spans[-1][0] : spans[-1][1]]
            for start, end in spans:  # of no other kind
                left = left[:start] + " " * (end - start) + left[end:]
    return found


def rest(text: str, found: dict[str, str]) -> str:
    """What is said beside the particulars."""
    for value in found.values():
        text = text.replace(value, " ")
    return text.strip()
