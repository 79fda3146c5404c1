"""Benchmark processes without their imports, for tests that are about something else.

A benchmark process of a user is a new interpreter: its cold start is measured. Here it is forked from a server that has
imported what they need. `tests/benchmark` has the true ones.
"""

import multiprocessing
import os
import subprocess
from multiprocessing.connection import Connection, Pipe

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload([
    "onnxruntime", "pytorch_lightning", "torch", "transformers.models.bert.modeling_bert", "millis.backends.eager",
    "millis.backends.native", "millis.backends.onnxruntime", "millis.benchmark.worker", "millis.models.encoder",
    "millis.serving.runner", "millis.serving.writer", "millis.tasks.classification",
])  # fmt: skip


class Popen:
    """What `millis.benchmark.isolate` uses of `subprocess.Popen`."""

    def __init__(self, command, stdin, stdout, stderr, env):
        assert stdin == stdout == subprocess.PIPE and command[1:3] == ["-m", "millis.benchmark.worker"]
        their_input, our_output = Pipe(duplex=False)
        our_input, their_output = Pipe(duplex=False)
        theirs = (their_input, their_output, Connection(os.dup(stderr.fileno()), readable=False))
        self._process = CONTEXT.Process(target=_work, args=(command[3:], env, *theirs), daemon=True)
        self._process.start()
        for end in theirs:
            end.close()
        self.stdin = os.fdopen(os.dup(our_output.fileno()), "wb", buffering=0)
        self.stdout = os.fdopen(os.dup(our_input.fileno()), "rb")
        our_output.close()
        our_input.close()
        self.pid = self._process.pid

    @property
    def returncode(self):
        return self._process.exitcode

    def kill(self):
        self._process.kill()

    def wait(self, timeout=None):
        self._process.join(timeout)
        if self._process.is_alive():
            raise subprocess.TimeoutExpired("worker", timeout)
        return self.returncode


def _work(arguments, environment, *streams):
    for descriptor, stream in enumerate(streams):
        os.dup2(stream.fileno(), descriptor)
        stream.close()
    os.environ.clear()
    os.environ.update(environment)
    from millis import waiting
    from millis.benchmark import worker

    waiting.waited.__init__(waiting._open("/proc/thread-self/schedstat"), waiting.waited._accounts)  # not the server's
    worker.sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    worker.main(arguments)
