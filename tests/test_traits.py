"""What choices say of each other, with choices that are made up."""

from types import SimpleNamespace

import pytest

from millis.errors import MillisError
from millis.traits import check, has

HEAVY, LOUD = "is heavy", "is loud"


def choice(**says):
    return SimpleNamespace(**says)


def refusal(**choices):
    with pytest.raises(MillisError) as caught:
        check(choices)
    return str(caught.value)


def test_choices_that_say_nothing_fit_everything():
    check({"roof": choice(), "wall": choice(traits=(HEAVY,)), "floor": choice(refuses={LOUD: "no"})})


def test_what_one_refuses_no_other_may_have():
    roof = choice(refuses={HEAVY: "the roof does not carry {other}. Choose {instead}"})
    assert refusal(roof=roof, wall=choice(traits=(LOUD, HEAVY))) == "the roof does not carry wall. Choose wall=none"
    check({"roof": roof, "wall": choice(traits=(LOUD,))})


def test_a_choice_may_have_another_name_and_another_way_out():
    roof = choice(refuses={HEAVY: "no {other}: choose {instead}"})
    wall = choice(traits=(HEAVY,), called="wall.stone", instead="wall=timber")
    assert refusal(roof=roof, wall=wall) == "no wall.stone: choose wall=timber"


def test_what_one_needs_one_of_all_must_have():
    bell = choice(needs={LOUD: "nobody hears it on backend={backend}"})
    assert refusal(bell=bell, wall=choice(traits=(HEAVY,))) == "nobody hears it on backend="
    assert refusal(bell=bell, backend=choice(name="felt")) == "nobody hears it on backend=felt"
    check({"bell": bell, "backend": choice(traits=(LOUD,), name="brass")})


def test_a_reason_to_refuse_may_name_the_backend_too():
    bell = choice(refuses={HEAVY: "not with {other} on {backend}"})
    assert refusal(bell=bell, backend=choice(name="felt", traits=(HEAVY,))) == "not with backend on felt"


def test_groups_in_which_nothing_is_chosen_are_left_out():
    check({"roof": None, "wall": choice(refuses={HEAVY: "no"}), "backend": None})
    assert refusal(roof=None, bell=choice(needs={LOUD: "silent"}), backend=None) == "silent"


def test_nobody_refuses_its_own_traits_and_everybody_meets_its_own_needs():
    check({"wall": choice(traits=(HEAVY,), refuses={HEAVY: "no"}, needs={HEAVY: "light"})})


def test_a_trait_is_had_or_not():
    assert has(choice(traits=(HEAVY,)), HEAVY) and not has(choice(traits=(HEAVY,)), LOUD) and not has(choice(), HEAVY)
