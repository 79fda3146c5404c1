import json
import os
import subprocess
import sys
from dataclasses import replace
from threading import Lock, Thread
from time import sleep
from weakref import ref

import numpy as np
import pytest

from millis import cpus
from millis.backends.eager import Eager
from millis.backends.onnxruntime import OnnxRuntime
from millis.errors import MillisError
from millis.serving import runner as runners
from millis.serving.one_pass import Runner
from millis.serving.reader import Reader
from millis.serving.runner import load
from millis.serving.stepwise import NEVER, StepwiseSession
from millis.storage.manifest import FILE_NAME, open_manifest, seal
from millis.types import Answered

PAIR_INPUTS = ("input_ids", "attention_mask", "token_type_ids")


class Echo:
    """Remembers what it was fed; its logits are (0, first id)."""

    def __call__(self, features):
        self.features = features
        return (np.array([[0.0, features.ids[0, 0]]], dtype=np.float32),)


@pytest.fixture
def echo(tokenizer, manifest):
    def make(special=True, **changes):
        session = Echo()
        return Runner(manifest(**changes), Reader(manifest(**changes), tokenizer(special)), session), session

    return make


def test_a_text_is_fed_as_its_tokens(echo):
    runner, session = echo()
    runner.predict("a b")
    ids, mask, types = session.features
    assert ids.tolist() == [[2, 4, 5, 3]]
    assert mask.tolist() == [[1, 1, 1, 1]]
    assert types is None
    assert ids.dtype == mask.dtype == np.int64


def test_a_pair_has_token_types_where_the_model_takes_them(echo):
    runner, session = echo(inputs=PAIR_INPUTS)
    runner.predict(("a", "b c"))
    assert session.features.ids.tolist() == [[2, 4, 3, 5, 6, 3]]
    assert session.features.token_types.tolist() == [[0, 0, 0, 1, 1, 1]]
    runner.predict("a")
    assert session.features.token_types.tolist() == [[0, 0, 0]]


def test_a_long_text_is_cut_and_counted(echo):
    runner, session = echo(max_length=4)
    runner.predict("a b c d e")
    assert session.features.ids.tolist() == [[2, 4, 5, 3]]
    # [CLS] a b [SEP] is exactly 4; a pair of one word each is 5.
    assert runner.truncated(["a b", "a b c", ("a", "b"), ""]) == 2


def test_an_empty_text_has_an_answer(echo):
    runner, session = echo()
    runner.predict("")
    assert session.features.ids.tolist() == [[2, 3]]
    runner, session = echo(special=False, inputs=PAIR_INPUTS)
    runner.predict("")
    assert [part.tolist() for part in session.features] == [[[0]], [[0]], [[0]]]  # one masked position


def test_predict_is_the_stages_in_turn(echo):
    runner, _ = echo(special=False)
    text = "b"
    encoding = runner.tokenize(text)
    assert runner.predict(text) == runner.decode(runner.compute(runner.feed(encoding)), encoding)
    given = text
    for _, stage in runner.stages:
        given = stage(given)
    assert given == runner.predict(text)
    assert [name for name, _ in runner.stages] == ["tokenize", "feed", "compute", "decode"]


def test_a_runner_goes_when_it_is_let_go(echo):
    runner, _ = echo()
    gone = ref(runner)
    runner.predict("a")
    del runner
    assert gone() is None


def test_logits_of_several_texts_and_of_none(echo):
    runner, _ = echo(special=False)
    assert runner.logits(["a", "c d"]).tolist() == [[0, 4], [0, 6]]
    assert runner.logits([]).shape == (0, 2)


@pytest.mark.parametrize("text", [3, None, b"a", ("a", 3)])
def test_a_request_that_is_no_text(echo, text):
    runner, _ = echo()
    with pytest.raises(MillisError, match=r"a request got a (int|NoneType|bytes|tuple), expected a string or a pair"):
        runner.predict(text)


def test_load_refuses_no_threads(tmp_path):
    with pytest.raises(MillisError, match="threads=0 cannot run anything: expected 1 or more"):
        load(tmp_path, threads=0)


def test_load_refuses_an_unknown_backend(tmp_path, manifest):
    seal(tmp_path, manifest(backend="onnxrumtime"))
    message = r"backend 'onnxrumtime' is unknown; expected one of .*onnxruntime.* \(did you mean 'onnxruntime'\?\)"
    with pytest.raises(MillisError, match=message):
        load(tmp_path)


@pytest.mark.parametrize("backend", ["runner", "../hook", "os", "onnxruntime.x", "__init__", ""])
def test_load_imports_nothing_that_is_no_backend(tmp_path, manifest, backend):
    (tmp_path / "hook.py").write_text("raise SystemExit('ran')")
    seal(tmp_path, manifest(backend=backend))
    with pytest.raises(MillisError, match=r"is unknown; expected one of .*eager.*onnxruntime"):
        load(tmp_path)


def test_load_refuses_a_broken_tokenizer(write):
    folder = write(Eager())
    (folder / "tokenizer.json").write_text("{}")
    seal(folder, open_manifest(folder, verify=False))
    with pytest.raises(MillisError, match=r"tokenizer.json cannot be read: .* Make the artifact again"):
        load(folder)


def test_serving_on_onnx_runtime_imports_neither_torch_nor_transformers_nor_onnx(write):
    folder = write(OnnxRuntime())
    script = (
        "import sys; from millis.serving.runner import load; print(load(sys.argv[1]).predict('a b').label);"
        "print(sorted({'torch', 'transformers', 'onnx', 'sklearn', 'hydra', 'optuna'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", script, str(folder)], capture_output=True, text=True, check=True)
    label, imported = ran.stdout.split("\n")[:2]
    assert label in ("no", "yes")
    assert imported == "[]"


def test_a_model_of_one_piece_says_whether_the_deadline_was_kept(echo):
    runner, _ = echo()
    kept = runner.predict("a", deadline_ms=60_000)
    assert (kept.answer, kept.step, kept.steps, kept.kept) == (runner.predict("a"), 1, 1, True)
    assert 0 < kept.elapsed_ms < 60_000
    assert not runner.predict("a", deadline_ms=1e-6).kept


@pytest.fixture
def slow(tokenizer, manifest):
    """A runner whose model takes two steps, the second of them 3 ms, and the ids that it was asked."""
    asked = []

    def first(features):
        asked.append(features.ids[0].tolist())
        return features.ids, np.zeros((1, 2), np.float32)

    def second(ids, mask):
        sleep(0.003)
        return ids, np.zeros((1, 2), np.float32)

    return Runner(
        manifest(), Reader(manifest(), tokenizer()), StepwiseSession([first, second], "entropy", NEVER)
    ), asked


def test_a_request_that_measures_the_steps_itself_is_late_and_says_so(slow):
    runner, _ = slow
    late, kept = runner.predict("a", deadline_ms=50), runner.predict("a", deadline_ms=5_000)
    assert late.elapsed_ms > 9 * 3  # ten runs of 3 ms at each length
    assert (late.step, late.kept) == (1, False)
    assert (kept.step, kept.kept) == (2, True)


def test_times_learnt_before_cost_no_request(slow):
    runner, asked = slow
    runner.learn_times()
    assert asked[-1] == [0, 1, 3, 4, 6, 7, 9, 11]  # eight tokens, over the vocabulary of twelve
    assert sorted({len(ids) for ids in asked}) == [1, 2, 4, 8]
    count = len(asked)
    assert runner.predict("a", deadline_ms=5_000).kept
    assert len(asked) == count + 1


def test_a_model_of_one_piece_has_no_times_to_learn(echo):
    runner, session = echo()
    runner.learn_times()
    assert not hasattr(session, "features")


@pytest.mark.parametrize("deadline_ms", [0, -1, float("nan")])
def test_a_deadline_that_is_none_is_refused(echo, deadline_ms):
    runner, _ = echo()
    with pytest.raises(MillisError, match=f"deadline_ms={deadline_ms}: expected a positive number of milliseconds"):
        runner.predict("a", deadline_ms=deadline_ms)


def test_more_threads_than_cpus_are_warned_of(write, monkeypatch):
    folder = write(OnnxRuntime())
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 3}, raising=False)
    message = r"threads=3 on 2 CPUs: threads wait for each other. threads=2 is faster"
    with pytest.warns(UserWarning, match=message):
        load(folder, threads=3)


def test_a_quota_counts_where_threads_are_more_than_it_pays_for(write, monkeypatch):
    folder = write(OnnxRuntime())
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 1, 2, 3}, raising=False)
    for module in (cpus, runners):
        monkeypatch.setattr(module, "quota", lambda: 1.5)
    message = r"threads=2 on 1 CPU \(a quota of 1.5\): threads wait for each other. threads=1 is faster"
    with pytest.warns(UserWarning, match=message):
        load(folder, threads=2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"backend": "os"}, "backend 'os' is unknown"),
        ({"backend": "../cli/main"}, "is unknown"),
        ({"spec": {"family": "os"}}, "spec.family is 'os': expected one of"),
        ({"spec": {"family": "millis.cli.main"}}, "spec.family is .*: expected one of"),
        ({"spec": {"family": "_target_", "_target_": "os.system"}}, "spec.family is .*: expected one of"),
    ],
)
def test_a_manifest_names_no_code_outside_the_project(write, change, message, monkeypatch):
    folder = write(Eager())
    path = folder / FILE_NAME
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    monkeypatch.setattr(os, "system", lambda command: pytest.fail("it was run"))
    with pytest.raises(MillisError, match=message):
        load(folder, trust_code=True)


def test_what_looks_like_a_config_in_a_manifest_is_not_carried_out(write, monkeypatch):
    folder = write(Eager())
    target = {"_target_": "os.system", "command": "true"}
    monkeypatch.setattr(os, "system", lambda command: pytest.fail("it was run"))
    seal(folder, replace(open_manifest(folder), recipe=target, early_exit={"policy": "os"}))
    assert load(folder).predict("a").label in ("no", "yes")


def test_of_several_threads_one_learns_the_times(tokenizer, manifest):
    turns, learning = [], Lock()

    class Slow(Echo):
        steps = (0,)
        knows_times = False

        def learn_times(self, examples):
            assert learning.acquire(blocking=False), "two threads measure at once"
            turns.append(len(examples))
            sleep(0.05)
            self.knows_times = True
            learning.release()

        def answer(self, features, until_ns=None):
            return Answered(self(features), np.array([1]))

    runner = Runner(manifest(), Reader(manifest(), tokenizer()), Slow())
    threads = [Thread(target=runner.predict, args=("a", 1000.0)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert turns == [4]  # of 1, 2, 4 and 8 tokens


def test_in_a_forked_process_everything_is_refused(tokenizer, manifest):
    steps = [lambda *given: (None, np.array([[0.0, 1.0]], np.float32))]
    runner = Runner(manifest(), Reader(manifest(), tokenizer()), StepwiseSession(steps, "entropy", NEVER))
    features = runner.feed(runner.tokenize("a"))
    calls = [
        lambda: runner.predict("a"), lambda: runner.predict("a", deadline_ms=5), runner.learn_times,
        lambda: runner.compute(features), lambda: runner.answer(features), lambda: runner.logits(["a"]),
    ]  # fmt: skip
    if (child := os.fork()) == 0:
        refused = 0
        for call in calls:
            try:
                call()
            except MillisError as error:
                refused += "Load the artifact after the fork, in each process" in str(error)
        os._exit(refused)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == len(calls)
    assert runner.predict("a").label == "yes"


def broken(artifact, change):
    """The artifact with another tokenizer, sealed again."""
    path = artifact / "tokenizer.json"
    state = json.loads(path.read_text())
    change(state)
    path.write_text(json.dumps(state))
    seal(artifact, open_manifest(artifact, verify=False))
    return artifact


def test_a_tokenizer_that_panics_is_found_while_loading(write):
    artifact = broken(write(Eager()), lambda state: state["post_processor"]["special_tokens"].clear())
    with pytest.raises(MillisError, match=r"tokenizer.json contradicts itself|tokenizer cannot read a request"):
        load(artifact)


def test_ids_beyond_the_table_are_found_while_loading(write):
    def change(state):
        state["post_processor"]["special_tokens"]["[SEP]"]["ids"] = [5000]

    with pytest.raises(MillisError, match=r"tokenizer.json has ids up to 5000, the model's table .* rows"):
        load(broken(write(Eager()), change))


def test_a_panic_of_a_request_is_an_exception_and_a_keyboard_interrupt_is_none(echo):
    class PanicException(BaseException):
        pass

    runner, _ = echo()
    for raised, expected in [(PanicException("no entry"), MillisError), (KeyboardInterrupt(), KeyboardInterrupt)]:

        def panics(texts, raised=raised):
            raise raised

        runner._reader._encode = panics
        with pytest.raises(expected):
            runner.predict("a")


def test_a_long_request_is_the_beginning_of_it(echo):
    runner, session = echo(max_length=8)
    read = []
    encode = runner._reader._encode
    runner._reader._encode = lambda texts: (read.extend(map(len, texts)), encode(texts))[1]
    runner.predict("a b c " * 50_000)
    assert session.features.ids.tolist() == [[2, 4, 5, 6, 4, 5, 6, 3]]
    assert runner.truncated(["a b c " * 50_000]) == 1
    assert max(read) < 1000
