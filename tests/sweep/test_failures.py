"""Failures in a row: which are alike, and when they end a sweep."""

import errno
import pickle
import re

import pytest

from millis.errors import MillisError, Unavailable
from millis.store import atomic_file
from millis.sweep.failures import Failures, cause_of, out_of_space

AWAY = Unavailable("no agent answers")
FULL = OSError(errno.ENOSPC, "no room")


def failures(*ends):
    """Of trials 0, 1, ...: None where one passed, else the text or the exception that it ended by."""
    found = Failures()
    for number, end in enumerate(ends):
        if end is None:
            found.passed()
        else:
            found.failed(number, None if isinstance(end, str) else end, str(end))
    return found


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("cannot read /a/820d58437d61/0/best.ckpt: it is cut", "cannot read /b/2f5e/1/best.ckpt: it is cut"),
        ("cannot read ../a/x.npy", "cannot read ~/b/y.npy"),
        ("no key 820d58437d612b5f", "no key 612b5f820d58437d"),
        ("object at 0x7f00aa10", "object at 0x7f00bb20"),
    ],
)
def test_what_differs_in_files_alone_is_alike(one, other):
    assert cause_of(None, one) == cause_of(None, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("static students cannot be", "convolutions cannot be"), ("no speed-up of 2", "no speed-up of 3")],
)
def test_other_words_and_numbers_are_other_causes(one, other):
    assert cause_of(None, one) != cause_of(None, other)


def test_the_systems_error_is_the_cause_behind_a_sentence():
    def refused(name):
        try:
            try:
                raise PermissionError(errno.EACCES, "Permission denied", name)
            except OSError as error:
                raise MillisError(f"no {name} for {len(name)} students") from error
        except MillisError as error:
            return cause_of(error, str(error))

    assert refused("a") == refused("bcd") == f"PermissionError {errno.EACCES}"


def test_four_alike_in_a_row_end_a_sweep_and_three_do_not():
    assert failures("a", "a", "a").verdict() is None
    assert failures("a", "a", None, "a", "a").verdict() is None
    assert failures("a", "a", "b", "a", "a").verdict() is None
    found = failures("b", "a /x/1", "a /x/2", "a /x/3", "a /x/4")
    assert found.verdict() == (
        "the last 4 trials failed alike, so the sweep stops: a /x/4. Mend the cause and run the same command again: "
        "these trials do not count"
    )
    assert found.numbers == [1, 2, 3, 4]


@pytest.mark.parametrize("general", [AWAY, FULL], ids=["away", "full"])
def test_what_was_over_before_a_trial_passed_ends_no_sweep(general):
    assert failures(general, None).verdict() is None
    assert failures(general, None, "a").verdict() is None
    assert failures("a", "a", "a", general, None, "a").verdict() is None


@pytest.mark.parametrize(
    ("ends", "numbers", "reason"),
    [
        ((AWAY, "a"), [0], "the sweep stops: no agent answers. When it is back, run"),
        (("a", AWAY, "b", AWAY), [1, 3], "the sweep stops: no agent answers. When it is back, run"),
        ((FULL, "a"), [0], r"there is no space left, so the sweep stops: .*no room. Make room and run"),
        ((FULL, AWAY, "a"), [0, 1], "the sweep stops: no agent answers. When it is back, run"),
        ((AWAY, None, FULL, "a"), [2], r"there is no space left, so the sweep stops: .*no room. Make room and run"),
        (("a", "a", AWAY, "a", "a"), [0, 1, 2, 3, 4], "the sweep stops: no agent answers. When it is back, run"),
    ],
)
def test_failures_of_several_causes_at_once(ends, numbers, reason):
    found = failures(*ends)
    assert re.match(reason, found.verdict())
    assert found.numbers == numbers


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_one_full_disk_ends_a_sweep(tmp_path, number):
    with pytest.raises(MillisError) as caught, atomic_file(tmp_path / "best.ckpt"):
        raise OSError(number, "no room")
    assert out_of_space(caught.value, str(caught.value))
    found = Failures()
    found.failed(7, caught.value, str(caught.value))
    assert found.verdict().startswith("there is no space left, so the sweep stops: cannot write ")
    assert found.verdict().endswith("Make room and run the same command again: these trials do not count")
    assert found.numbers == [7]


def test_a_full_disk_is_known_by_the_systems_words_where_its_number_is_lost():
    error = pickle.loads(pickle.dumps(MillisError("I/O error: No space left on device (os error 28)")))
    assert out_of_space(error, str(error))
    assert not out_of_space(error, "no answer") and not out_of_space(None, "out of memory")
