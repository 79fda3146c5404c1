"""The dashboard, built without a server: what it shows, and of which runs."""

import json
import sys

import pytest

from millis.errors import MillisError
from millis.tracking import dashboard


@pytest.fixture
def grids(monkeypatch):
    """The panel grids, as they would be sent; the server is only asked for the project's id."""
    from wandb_workspaces.reports.v2 import interface

    monkeypatch.setattr(interface, "_get_api", lambda: None)
    monkeypatch.setattr(interface, "execute_graphql", lambda *_: {"project": {"internalId": "1"}})
    made = dashboard.dashboard(
        "us", "millis", study="bundled-1a2b3c", quality="accuracy", latency="latency_p50_ms",
        searched=["student", "student.layers"],
    )  # fmt: skip
    assert (made.entity, made.project, made.title) == ("us", "millis", "millis: bundled-1a2b3c")
    spec = json.loads(made._to_model().spec.model_dump_json(by_alias=True, exclude_none=True))
    return [block["metadata"] for block in spec["blocks"] if block["type"] == "panel-grid"]


def test_each_part_shows_the_runs_of_its_kind_in_the_studys_group(grids):
    shown = [
        [{one["key"]["name"]: one["value"] for one in runs["filters"]["filters"]} for runs in grid["runSets"]]
        for grid in grids
    ]
    of = {kind: {"group": "bundled-1a2b3c", "jobType": kind} for kind in ("teacher", "trial", "summary")}
    assert shown == [[of["summary"]], [of["trial"]], [of["trial"], of["teacher"]]]


def test_it_has_the_frontier_the_recipes_and_the_curves(grids):
    panels = [panel for grid in grids for panel in grid["panelBankSectionConfig"]["panels"]]
    found = {panel["viewType"]: panel["config"] for panel in panels}
    assert found["Media Browser"] == {"mediaKeys": ["frontier_chart"]}
    assert (found["Scatter Plot"]["xAxis"], found["Scatter Plot"]["yAxis"]) == (
        "summary:latency_p50_ms", "summary:accuracy"
    )  # fmt: skip
    axes = [column["accessor"] for column in found["Parallel Coordinates Plot"]["columns"]]
    assert axes[:2] == ["config:student.value._target_", "config:student.value.layers"]
    curves = [panel["config"]["metrics"] for panel in panels if panel["viewType"] == "Run History Line Plot"]
    assert curves == [["validation/quality"], ["train/objective"]]


@pytest.mark.parametrize("where", ["millis", "/millis", "us/", "a/b/c", ""])
def test_a_place_that_is_none(where):
    with pytest.raises(MillisError, match=rf"wandb={where}: expected ENTITY/PROJECT"):
        dashboard.target(where)


def test_without_a_login_it_says_what_to_do(outputs, monkeypatch):
    with pytest.raises(
        MillisError, match=r"wandb=us/millis: .*nobody is logged in. Run `wandb login` or set WANDB_API_KEY"
    ):
        dashboard.target("us/millis")
    monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
    assert dashboard.target("us/millis") == ("us", "millis")


def test_without_the_library_it_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb_workspaces", None)
    with pytest.raises(MillisError, match=r"pip install 'millis\[dashboard\]'"):
        dashboard.target("us/millis")


def test_a_refusal_of_the_server_is_a_sentence():
    class Refused:
        entity, project = "us", "millis"

        def save(self):
            raise ValueError("no such entity")

    with pytest.raises(
        MillisError, match=r"did not take the dashboard of us/millis: no such entity\. Check the entity"
    ):
        dashboard.publish(Refused())


def test_the_address_comes_back():
    class Saved:
        url = "https://example.org/r"

        def save(self):
            return self

    assert dashboard.publish(Saved()) == "https://example.org/r"
