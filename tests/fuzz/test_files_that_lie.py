"""Files that lie are refused in one line, at once and in little memory: each kind, changed at random, case by case.

A few cases of each kind by default; `make fuzz` reads 2,000 of each (`MILLIS_FUZZ_CASES`). A case is found again by its
number: `python -m fuzzed KIND FOLDER 17 18` in `tests/helpers` prints what case 17 raises.
"""

import json
import os
import select
import subprocess
import sys
from pathlib import Path

import pytest
from fuzzed import KINDS

from millis.backends.native import Native

pytest.importorskip("zstandard", reason="the storage extra is not installed")
pytest.importorskip("onnxruntime", reason="the onnx extra is not installed")
CASES = int(os.environ.get("MILLIS_FUZZ_CASES", "60"))
SECONDS, MEBIBYTES = 10, 1024  # a case may take
START = 120  # seconds of imports, on a busy machine
HELPERS = Path(__file__).parents[1] / "helpers"


def cases(kind, folder, first, last):
    """What each case came to; a process that hangs or dies is replaced, and the case that it was at is its own."""
    while first < last:
        command = [sys.executable, "-m", "fuzzed", kind, str(folder), str(first), str(last)]
        with subprocess.Popen(command, cwd=HELPERS, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
            limit = START
            while first < last:
                ready, _, _ = select.select([child.stdout], [], [], limit)
                line = child.stdout.readline() if ready else b""
                if not line:
                    ended = child.poll()
                    child.kill()
                    yield {"case": first, "problem": "no answer" if ended is None else f"ended with {ended}"}
                    first += 1
                    break
                told = json.loads(line)
                if "case" in told:
                    yield told
                    first = told["case"] + 1
                    if told["mebibytes"] > MEBIBYTES:  # the peak is never forgotten: later cases in a new process
                        child.kill()
                        break
                limit = 3 * SECONDS


@pytest.mark.timeout(CASES * 30 + 400)
@pytest.mark.parametrize("kind", KINDS)
def test_files_that_lie_are_refused(kind, tmp_path):
    if kind == "plan" and (lacking := Native().missing()):
        pytest.skip(lacking)
    if kind == "gguf":
        pytest.importorskip("gguf")
    found = list(cases(kind, tmp_path, 0, CASES))
    wrong = [
        f"{kind} {told['case']}: {told['problem'] or told}"
        for told in found
        if told["problem"] or told["seconds"] > SECONDS or told["mebibytes"] > MEBIBYTES
    ]
    assert not wrong, f"{len(wrong)} of {len(found)}\n" + "\n\n".join(wrong)
    assert len(found) == CASES
