"""Both ends over loopback, with processes that are really timed."""

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path
from threading import Event, Thread

import pytest
from waiting import until

from millis import children
from millis.benchmark.agent.laboratory import Laboratory
from millis.benchmark.agent.line import Line
from millis.benchmark.agent.token import TOKEN as SECRET
from millis.benchmark.environment import machine, packages
from millis.benchmark.latency import Options
from millis.benchmark.where import measure, open_bench, site
from millis.errors import MillisError, Unavailable
from millis.storage.manifest import open_manifest, seal

TEXTS = ["a", "a a", "a a a", "a a a a"]
QUICK = Options(rounds=4, requests=3, settle_ms=0.5, steady_windows=1, processes=1)


def sent(monkeypatch):
    """The requests that reach the network from now on: [(method, path)]."""
    original, asked = Line._once, []

    def once(self, method, path, body):
        asked.append((method, path.split("/")[0], body))
        return original(self, method, path, body)

    monkeypatch.setattr(Line, "_once", once)
    return asked


def test_an_agent_measures_as_this_machine_does(agent, artifact):
    artifacts = {"light": artifact("light"), "heavy": artifact("heavy", work=100)}
    with agent() as there:
        measured = measure(artifacts, TEXTS, "light", replace(QUICK, where=there.where))
    light, heavy = measured["light"], measured["heavy"]
    assert heavy.metrics["speedup"] < 0.8 and light.metrics["speedup"] == 1
    assert heavy.reference_latency_ms == light.latency_ms
    assert isinstance(heavy.intervals["speedup"], tuple)
    here = measure(artifacts, TEXTS, "light", QUICK)["heavy"]
    assert set(here.metrics) == set(heavy.metrics) and set(here.environment) < set(heavy.environment)
    assert here.metrics["size_bytes"] == heavy.metrics["size_bytes"]
    assert heavy.environment["agent"]["where"] == there.where
    assert heavy.environment["machine"] == machine() == heavy.environment["sent_from"]["machine"]
    assert SECRET.variable not in json.dumps(heavy.environment)


def test_what_was_sent_once_is_not_sent_again_and_processes_stay(agent, artifact, monkeypatch):
    reference, small = artifact("light"), artifact("heavy", work=1)
    asked = sent(monkeypatch)
    with agent() as there, open_bench(reference, TEXTS, replace(QUICK, where=there.where)) as bench:
        bench.measure({"small": small})
        files = [Path(body).name for _, kind, body in asked if kind == "blobs" and isinstance(body, Path)]
        assert sorted(files) == ["model.onnx", "model.onnx", "tokenizer.json"], "they share a tokenizer"
        kept = there._laboratory._bench
        asked.clear()
        again = bench.measure({"small": small, "itself": reference})
        assert [kind for _, kind, _ in asked if kind == "blobs"] == []
        assert there._laboratory._bench is kept
        assert again["itself"].metrics["speedup"] == 1
        place = there.folder
        assert len(list((place / "artifacts").iterdir())) == 1, "only the reference stays"
    assert not place.exists()


def test_the_site_is_the_agents(agent, monkeypatch):
    here = [machine()["cpu"], machine()["cpu_flags"], packages()]
    assert site(QUICK) == here
    monkeypatch.setattr("millis.benchmark.agent.server.machine", lambda: {"cpu": "another", "cpu_flags": ["neon"]})
    monkeypatch.setattr("platform.node", lambda: "phone")
    with agent() as there:
        assert site(replace(QUICK, where=there.where)) == ["another", ["neon"], packages(), "phone"]


def test_a_wrong_token(agent, artifact, monkeypatch):
    with agent() as there:
        monkeypatch.setenv("MILLIS_AGENT_TOKEN", "another-token-of-the-tests")
        with pytest.raises(
            MillisError, match=rf"the agent at {there.where} refuses the token: MILLIS_AGENT_TOKEN"
        ) as fault:
            open_bench(artifact("light"), TEXTS, replace(QUICK, where=there.where))
    assert "another-token" not in str(fault.value)


def test_a_file_that_is_too_large_is_not_sent(agent, artifact, monkeypatch):
    asked = sent(monkeypatch)
    with (
        agent(max_file_bytes=2000) as there,
        open_bench(artifact("light"), TEXTS, replace(QUICK, where=there.where)) as bench,
        pytest.raises(MillisError, match=r"model.onnx has \d+ bytes, and the agent at \S+ takes files of up to 2000"),
    ):
        bench.measure({"small": artifact("small")})
    assert [method for method, _, _ in asked] == ["GET"]


def test_nobody_answers(artifact, agent):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        where = f"http://127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(
            Unavailable, match=rf"no measuring agent answers at {where}: .*refused.* Start `millis agent`"
        ):
            open_bench(artifact("light"), TEXTS, replace(QUICK, where=where, patience_s=0.0))


def test_an_agent_of_another_millis(agent, artifact):
    with agent() as there:
        there.about = replace(there.about, millis="0.0.1")
        with pytest.raises(
            MillisError, match=rf"the agent at {there.where} is millis 0.0.1, this is .*Install the same"
        ):
            open_bench(artifact("light"), TEXTS, replace(QUICK, where=there.where))


def test_files_that_the_agent_never_keeps_together_are_not_sent(agent, artifact, monkeypatch):
    artifacts = {"small": artifact("small", work=1)}
    total = sum(path.stat().st_size for path in artifacts["small"].iterdir())
    asked = sent(monkeypatch)
    with (
        agent(max_kept_bytes=total) as there,
        open_bench(artifact("light"), TEXTS, replace(QUICK, where=there.where)) as bench,
        pytest.raises(MillisError, match=rf"refuses: the files of this .* take \d+ bytes .*keeps {total} in all"),
    ):
        bench.measure(artifacts)
    assert [kind for _, kind, _ in asked if kind == "blobs"] == []


async def forget(name, chunks, size):
    async for _ in chunks:
        pass


def test_an_agent_that_drops_what_was_sent_is_not_sent_to_for_ever(agent, artifact, monkeypatch):
    folder = artifact("light")
    asked = sent(monkeypatch)
    with agent() as there, open_bench(folder, TEXTS, replace(QUICK, where=there.where)) as bench:
        monkeypatch.setattr(there._blobs, "receive", forget)
        with pytest.raises(MillisError, match=r"drops files of this measurement .*, 5 times over: .*max_kept_bytes"):
            bench.measure({"light": folder})
    assert len([kind for _, kind, _ in asked if kind == "blobs"]) == 5 * 3, "two files and the texts, five times"


def test_machine_code_is_not_sent(agent, artifact, monkeypatch):
    folder = artifact("light")
    seal(folder, replace(open_manifest(folder), backend="inductor"))
    asked = sent(monkeypatch)
    with (
        agent() as there,
        open_bench(artifact("reference"), TEXTS, replace(QUICK, where=there.where)) as bench,
        pytest.raises(MillisError, match="'light' is made by backend=inductor, whose code is compiled for the machine"),
    ):
        bench.measure({"light": folder})
    assert [method for method, _, _ in asked] == ["GET"]


def test_a_backend_that_the_agent_lacks(agent, artifact):
    folder = artifact("light")
    seal(folder, replace(open_manifest(folder), backend="tensorrt"))
    with (
        agent() as there,
        open_bench(artifact("reference"), TEXTS, replace(QUICK, where=there.where)) as bench,
        pytest.raises(MillisError, match=r"refuses: artifact 'light' is for backend 'tensorrt', which the millis of"),
    ):
        bench.measure({"light": folder})


def test_a_runtime_that_is_not_installed_there(agent, artifact, tmp_path, monkeypatch):
    (tmp_path / "onnxruntime.py").write_text("raise ImportError")
    with agent() as there, open_bench(artifact("light"), TEXTS, replace(QUICK, where=there.where)) as bench:
        monkeypatch.setattr("millis.children.environment", without_onnxruntime(tmp_path))
        with pytest.raises(
            MillisError, match=r"\) says: cannot measure the reference: this artifact runs on ONNX Runtime"
        ):
            bench.measure({"small": artifact("small")})


def without_onnxruntime(folder):
    original = children.environment
    return lambda threads: {**(found := original(threads)), "PYTHONPATH": f"{folder}:{found['PYTHONPATH']}"}


def test_an_artifact_that_changed_on_the_way(agent, artifact):
    folder = artifact("light")
    (folder / "model.onnx").write_bytes(b"another")
    with (
        agent() as there,
        open_bench(artifact("reference"), TEXTS, replace(QUICK, where=there.where)) as bench,
        pytest.raises(MillisError, match=r"have SHA-256 \w+: they changed or broke off on the way"),
    ):
        bench.measure({"light": folder})


def test_what_answers_is_no_agent(artifact, agent):
    with HTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler) as other:
        thread = Thread(target=other.handle_request)
        thread.start()
        where = f"http://127.0.0.1:{other.server_address[1]}"
        with pytest.raises(MillisError, match=rf"what answers at {where} is no measuring agent \(HTTP status 404\)"):
            open_bench(artifact("light"), TEXTS, replace(QUICK, where=where))
        thread.join()


def test_a_measurement_that_an_agent_lost_is_sent_to_the_one_started_after_it(agent, artifact, monkeypatch, caplog):
    reference, begun, go_on = artifact("light"), Event(), Event()
    original = Laboratory._measure

    def measure_late(self, request):
        begun.set()
        assert go_on.wait(30)
        return original(self, request)

    monkeypatch.setattr(Laboratory, "_measure", measure_late)
    with ThreadPoolExecutor(1) as pool:
        with agent() as first:
            options = replace(QUICK, where=first.where, patience_s=60.0)
            bench = open_bench(reference, TEXTS, options)
            coming = pool.submit(bench.measure, {"itself": reference})
            assert begun.wait(30)
            first.stop()  # it answers no more, and nobody fetches what it measures
            go_on.set()
        assert until(lambda: "trying again" in caplog.text)  # before another answers there
        with agent(port=first.port):
            assert coming.result(60)["itself"].metrics["speedup"] == 1
    assert f"no measuring agent answers at {first.where} (" in caplog.text and "trying again for 60 s" in caplog.text
    assert f"the agent at {first.where} was started anew and lost a measurement, which is sent again" in caplog.text


def test_an_agent_that_never_keeps_a_measurement_is_not_sent_it_for_ever(agent, artifact, monkeypatch):
    folder = artifact("light")
    asked = sent(monkeypatch)
    with agent() as there, open_bench(folder, TEXTS, replace(QUICK, where=there.where)) as bench:
        monkeypatch.setattr(there._laboratory, "answer", lambda id: None)
        with pytest.raises(
            MillisError, match=r"was started anew during each of 5 attempts at this measurement: see why"
        ):
            bench.measure({"light": folder})
    assert len([method for method, kind, _ in asked if (method, kind) == ("GET", "measurements")]) == 5


def test_an_agent_that_comes_back_on_another_machine_does_not_go_on(agent, artifact, monkeypatch):
    folder = artifact("light")
    with agent() as there, open_bench(folder, TEXTS, replace(QUICK, where=there.where)) as bench:
        monkeypatch.setattr(there._laboratory, "answer", lambda id: None)
        there.about = replace(there.about, host="tablet")
        with pytest.raises(
            MillisError, match=r"started anew on another machine or with other packages \(host tablet, "
        ):
            bench.measure({"light": folder})
