"""What a teacher writes for texts, once: answers for students to learn from (Kim and Rush 2016, 1606.07947).

It writes greedily, on the fastest runtime here that takes it, texts beside each other on all threads. Answers are kept
a thousand at a time, so that an interrupted run goes on.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import cast

import torch

from millis.backends.artifact import write_artifact
from millis.backends.eager import Eager
from millis.backends.scratch import fp32_bytes, scratch
from millis.described import described
from millis.errors import MillisError
from millis.generation.greedy import Greedy
from millis.pipeline import keys
from millis.pipeline.teacher import Teacher
from millis.pipeline.usual import RUNTIMES
from millis.serving.runner import load
from millis.serving.writer import Writer
from millis.store import cached, locked, write_json
from millis.types import Text

AT_ONCE = 1000  # texts between two files
EVERY = (*RUNTIMES, Eager())  # the last one takes every model


def written(teacher: Teacher, texts: Sequence[Text], most: int) -> list[str | None]:
    """What the teacher writes for each of `texts`, [N]; None where it found no end, or nothing to say.

    Args:
        most: Tokens of an answer.
    """
    key = keys.written(teacher.fingerprint, texts, most)
    folder = teacher.inputs.cache / "teacher_written" / key
    files = [folder / f"{begin}.json" for begin in range(0, len(texts), AT_ONCE)]
    with locked(folder, "what the teacher writes, which another process has it write"):
        if not all(file.is_file() for file in files):
            folder.mkdir(parents=True, exist_ok=True)
            _write(teacher, texts, most, files)
    found: list[str | None] = []
    for file in files:
        with cached(file):
            found += json.loads(file.read_text(encoding="utf-8"))
    return found


def _write(teacher: Teacher, texts: Sequence[Text], most: int, files: Sequence[Path]) -> None:
    threads = torch.get_num_threads()
    with _writer(teacher, most) as writer, ThreadPoolExecutor(threads) as pool:
        for number, file in enumerate(files):
            if not file.is_file():
                some = texts[number * AT_ONCE : (number + 1) * AT_ONCE]
                write_json(file, list(pool.map(lambda text: _answer(writer, text), some)))
            done = min(len(texts), (number + 1) * AT_ONCE)
            print(f"  teacher wrote {done:,} of {len(texts):,} answers", file=sys.stderr, flush=True)


def _answer(writer: Writer, text: Text) -> str | None:
    reply = writer.replied(text)
    return reply.text.strip() or None if reply.ended == "end" else None


@contextmanager
def _writer(teacher: Teacher, most: int) -> Iterator[Writer]:
    """The teacher on the first runtime that takes it."""
    manifest = replace(teacher.manifest, files={}, generation=described(Greedy(max_tokens=most)))
    with scratch(fp32_bytes(teacher.module)) as place:
        for backend in EVERY:
            folder = place / backend.name
            if backend.missing() is not None:
                continue
            try:
                write_artifact(folder, teacher.module, teacher.tokenizer, backend, manifest, None)
            except MillisError:
                if backend is EVERY[-1]:
                    raise
                continue
            yield cast(Writer, load(folder, verify=False))
            return
