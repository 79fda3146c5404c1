"""Large blocks that are freed and taken again are no page faults."""

import platform
import resource
import subprocess
import sys

import pytest

from millis.training import memory

STEPS = """
import resource, sys, torch
from millis.training import memory
torch.set_num_threads(1)
if sys.argv[1] == "keep":
    assert memory.keep()
def step():
    return float((torch.ones(1 << 24) + torch.ones(1 << 24)).sum())
for _ in range(6):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how):
    run = subprocess.run([sys.executable, "-c", STEPS, how], capture_output=True, text=True, check=True)
    return int(run.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="parameters of glibc")
def test_a_step_that_was_done_before_takes_no_new_pages():
    pages = 5 * (4 << 24) // resource.getpagesize()  # of one tensor in each of five steps
    assert faults("leave") >= pages / 2 > 20 * faults("keep")


def test_another_c_library_is_left_as_it_is(monkeypatch):
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert not memory.keep()
