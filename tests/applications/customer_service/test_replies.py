"""Templates and what they ask for."""

import pytest

from millis.applications.customer_service.replies import Reply
from millis.errors import MillisError


def test_places_are_filled_with_what_is_known():
    reply = Reply("order {order_number} of {amount}", {"order_number": "which?"})
    assert reply.missing({}) == "order_number" and reply.missing({"order_number": "1"}) is None
    assert reply.filled({"order_number": "48213"}) == "order 48213 of "
    assert reply.filled({"order_number": "{amount}", "amount": "£3"}) == "order {amount} of £3", (
        "nothing is filled twice"
    )


@pytest.mark.parametrize("reply", [("{order}", {}), ("{order_number.__class__}", {}), ("x", {"name": "who?"})])
def test_places_for_what_is_no_particular_are_refused(reply):
    with pytest.raises(
        MillisError, match=r"an answer names \{.*\}: expected one of email, phone, amount, order_number"
    ):
        Reply(*reply)
