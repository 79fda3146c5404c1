"""The notebook runs from top to bottom on the made-up study, and is committed without outputs."""

import runpy
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from millis.record import write_records

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "notebooks" / "frontier.ipynb"


def run(folder: Path) -> str:
    """Execute the notebook in `folder`; what it printed."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(folder)}}).execute()
    return "".join(
        output.get("text", "")
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if output.output_type == "stream"
    )


@pytest.fixture(autouse=True)
def sources(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    monkeypatch.delenv("MILLIS_RECORDS", raising=False)


def test_runs_and_prices_the_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = runpy.run_path(str(ROOT / "tests" / "report" / "synthetic.py"))["study"]()
    write_records(tmp_path / "records.jsonl", study)
    monkeypatch.setenv("MILLIS_RECORDS", str(tmp_path / "records.jsonl"))
    printed = run(tmp_path)
    assert "9 records" in printed
    assert "static 256 → transformer 1x128 int8 | +2.50" in printed  # 89.5 - 87.0


def test_says_how_to_make_records(tmp_path: Path) -> None:
    (tmp_path / "outputs").mkdir()
    with pytest.raises(CellExecutionError, match="make frontier"):
        run(tmp_path)


def test_is_committed_without_outputs() -> None:
    cells = nbformat.read(NOTEBOOK, as_version=4).cells
    assert all(not cell.get("outputs") and cell.get("execution_count") is None for cell in cells)
