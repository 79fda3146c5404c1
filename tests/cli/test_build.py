"""`millis build`: both chains of an application, of a few weights, on the corpus that ships with it cut short."""

import json
from itertools import islice
from pathlib import Path

import pytest
from tiny import BRIEF, millis

import millis as millis_package
from millis import api
from millis.applications.customer_service.plan import CustomerService
from millis.applications.manifest import open_application
from millis.applications.runner import load
from millis.benchmark.latency import Options
from millis.record import read_records

SMALL = [
    "model=scratch", "model.layers=1", "model.hidden_size=32", "model.heads=2", "model.ffn_size=64",
    "model.vocab_size=400", "student=static", "blend=false", "teacher.trainer.max_epochs=1", "trainer.max_epochs=1",
    "teacher.trainer.precision=32-true",
]  # fmt: skip
VECTORS = [*SMALL, "task.encoder._target_=millis.models.scratch.Scratch", "+task.encoder.hidden_size=32",
           "+task.encoder.heads=2", "+task.encoder.layers=1"]  # fmt: skip
PARTS = [f"app.parts.intent={json.dumps(SMALL)}", f"app.parts.faq={json.dumps(VECTORS)}"]
NONE = ["app.parts.intent=[]", "app.parts.faq=[]"]
GIVEN = ["logger=none", *BRIEF, "benchmark.quantile=null", *PARTS]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Every fifth message of the Chinese corpus."""
    folder = tmp_path_factory.mktemp("build") / "data"
    folder.mkdir()
    CustomerService("service", {}, language="zh").write_corpus(folder)
    for name in ("train", "validation", "test"):
        lines = (folder / f"{name}.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
        (folder / f"{name}.jsonl").write_text("".join(islice(lines, None, None, 5)), encoding="utf-8")
    return folder


@pytest.mark.slow
def test_an_application_is_built_judged_timed_and_answers(data, tmp_path, capsys):
    assert millis(tmp_path, "build", "app=customer_service_zh", f"data.path={data}", *GIVEN) == 0
    said = capsys.readouterr().out
    for line in ("right action", "out of scope recall", "faq mrr", "intent p50", "turn p99", "speed-up"):
        assert line in said
    folders = {name: next((tmp_path / "outputs" / "applications").glob(f"customer_service_zh-{name}-*"))
               for name in ("uncompressed", "compressed")}  # fmt: skip
    assert f"application: {folders['compressed']}" in said.replace("\n", "")
    manifests = {name: open_application(folder) for name, folder in folders.items()}
    assert manifests["compressed"].parts != manifests["uncompressed"].parts
    assert set(manifests["compressed"].judged) == {
        "right_action",
        "out_of_scope_recall",
        "in_scope_acceptance",
        "faq_mrr",
    }
    records = read_records(tmp_path / "outputs" / "build" / folders["compressed"].name / "records.jsonl")
    assert [record.kind for record in records] == ["teacher", "teacher", "student", "student"]
    assert load(folders["compressed"]).predict("我的快递到哪了").message
    assert millis(tmp_path, "predict", f"artifact={folders['compressed']}", "--", "我的快递到哪了") == 0
    assert "ms: read 0." in capsys.readouterr().out.replace("\n", "")


@pytest.mark.parametrize(("overrides", "message"), [
    (["app=translation", "app.glossary={lamp: a, Lamp: b}"], "the term 'Lamp' is to be both 'a' and 'b'; expected one"),
    (["app=translation", "app.glossary=none.csv"], "glossary none.csv is not there, or is no table"),
    (["app=translation", "app.target=en"], "app.source and app.target are both 'en'"),
    (["app=customer_servic"], "app has no 'customer_servic'"),
    (["app=customer_service", "data.path=nowhere"], "data.path=nowhere is not a folder; expected one with the data of"),
    (["app=customer_service", "data.path=."], "answers.jsonl cannot be read"),
    (["app=customer_service", "app.acceptance=2"], "app.acceptance=2"),
    (["app=customer_service", '+app.parts.tone=[]'], "app.parts names 'tone', which customer_service does not have"),
    (["app=customer_service", 'app.parts.intent=["student=statc"]'], "app.parts.intent: student has no 'statc'"),
    (["app=customer_service", 'every_part=["student=ngrams"]', *NONE], "student=ngrams chooses one label a text"),
    (["app=customer_service", "app.parts.intent=[]", 'app.parts.faq=["task.collection=no.jsonl"]'], "no.jsonl"),
    (["app=customer_service", "app.parts.intent=[]", 'app.parts.faq=["+budget.p98_ms=1"]'], "budget has 'p98_ms'"),
    (["app=customer_service", "benchmark.where=http://x:1"], "applications are timed here; set benchmark.where=here"),
])  # fmt: skip
def test_what_cannot_be_is_refused_before_anything_is_trained(tmp_path, monkeypatch, capsys, overrides, message):
    monkeypatch.chdir(tmp_path)
    assert millis(tmp_path, "build", "logger=none", *overrides) in (1, 2)
    assert message in capsys.readouterr().err.replace("\n", " ")
    assert not (tmp_path / "outputs" / "cache" / "teacher").exists()


def test_from_python_it_is_the_same_command(monkeypatch):
    asked = []
    monkeypatch.setattr("millis.cli.build.run", lambda cfg: asked.append(cfg) or "built")
    assert api.build("app=customer_service", "seed=3") == "built"
    assert (asked[0].app.name, asked[0].seed, Path(asked[0].paths.cache).name) == ("customer_service", 3, "cache")


def test_from_python_a_plan_is_built_with_objects(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr("millis.functions.built_of", lambda *given: asked.append(given) or "built")
    options = Options(rounds=7)
    made = millis_package.build(
        "customer_service", tmp_path, outputs=tmp_path / "out", every_part=["seed=3"], benchmark=options
    )
    plan, cfg, given = asked[0]
    assert made == "built" and given == options and isinstance(plan, CustomerService)
    assert (cfg.data.path, cfg.paths.cache) == (str(tmp_path), str(tmp_path / "out" / "cache"))
    assert cfg.every_part == ["seed=3"] and cfg.logger._target_ == "builtins.bool"
