"""The page's script, run by Node.js on elements that only hold what is put into them."""

import json
import re
import shutil
import subprocess
from importlib.resources import files

import pytest

SCRIPT = re.search(r"<script>(.*)</script>", (files("millis.server") / "page.html").read_text("utf-8"), re.DOTALL)[1]
BROWSER = """
class Element {
  constructor(name) {
    Object.assign(this, {name, value: "", children: [], options: []});
    Object.assign(this, {style: {setProperty() {}}, classList: {add() {}, remove() {}}});
  }
  setAttribute() {}
  append(...more) {
    this.children.push(...more);
    if (this.name === "select") { this.options.push(...more); this.value = this.options[0].value; }
  }
  replaceChildren() { this.children = []; }
  get selectedIndex() { return this.options.findIndex(one => one.value === this.value); }
  set selectedIndex(at) { this.value = this.options[at].value; }
}
const byId = {};
globalThis.Option = class { constructor(text, value) { this.text = text; this.value = value; } };
globalThis.document = {
  createElement: name => new Element(name),
  getElementById: id => byId[id] ??= new Element(id),
};
const sent = [];
globalThis.fetch = async (path, {body}) => {
  const said = path === "version" ? {millis: "1"} : path === "v1/artifacts" ? ARTIFACTS : answer(JSON.parse(body));
  return {ok: true, json: async () => said};
};
function answer(body) {
  sent.push(body);
  const answer = {text: "yes", ...(body.artifact === "tiny" ? {} : {state: {turn: (body.state?.turn ?? 0) + 1}})};
  return {answer, text: "yes", elapsed_ms: 1, stage_ms: {read: 1}, kept: true, step: 1, steps: 1};
}
const about = {model: "m", backend: "b", answers: "a", writes: false, pairs: false, size_bytes: 1};
const ARTIFACTS = [{...about, name: "service", state: true}, {...about, name: "tiny", state: false}];
"""
TURNS = """
(async () => {
  const settled = () => new Promise(done => setTimeout(done, 5));
  const button = () => sides.map((_, at) => byId.sides.children[at].children.find(one => one.className === "again"));
  const turn = async text => { byId.text.value = text; byId.form.onsubmit({preventDefault() {}}); await settled(); };
  await settled();
  const seen = [button().map(one => [one.hidden, one.disabled])];
  byId.live = {checked: true};
  await turn("first");
  seen.push(button().map(one => [one.hidden, one.disabled]));
  byId.text.oninput(); await settled();
  await turn("second");
  button()[0].onclick(); await settled();
  seen.push(button().map(one => [one.hidden, one.disabled]));
  await turn("third");
  console.log(JSON.stringify({sent, seen}));
})();
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not installed")
def test_a_conversation_goes_on_until_a_new_one_is_begun():
    """What comes back as state is sent in with the next text; a text that is still typed is no turn."""
    script = BROWSER + SCRIPT + TURNS
    ran = subprocess.run(["node", "-e", script], capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    service = [(one["text"], one.get("state")) for one in found["sent"] if one["artifact"] == "service"]
    assert service == [
        ("first", None), ("first", {"turn": 1}), ("second", {"turn": 1}), ("third", None),
    ]  # fmt: skip
    assert all("state" not in one for one in found["sent"] if one["artifact"] == "tiny") and len(found["sent"]) == 8
    # (hidden, disabled) of each side's button: an artifact without state has none, and before the first turn there is
    # no conversation to end.
    assert [each[0] for each in found["seen"]] == [[False, True], [False, False], [False, True]]
    assert all(each[1][0] for each in found["seen"])
