"""Which records `millis report` reads."""

import os
import runpy
from dataclasses import replace
from pathlib import Path

import pytest

from millis.cli.report import read_all
from millis.errors import MillisError
from millis.record import write_records

STUDY = runpy.run_path(str(Path(__file__).parents[1] / "report" / "synthetic.py"))["study"]


def test_a_folders_records_come_oldest_file_first_each_where_it_came_last(tmp_path):
    first, second, third, *_ = (replace(one, artifact="artifacts/a") for one in STUDY())
    for age, name, records in ((1, "new", [first, third]), (2, "old", [first, second])):
        path = tmp_path / name / "records.jsonl"
        path.parent.mkdir()
        write_records(path, records)
        os.utime(path, (1e9 - age, 1e9 - age))
    found = read_all(tmp_path)
    assert [one.id for one in found] == [second.id, first.id, third.id]
    # Artifacts lie beside the file that names them, not beside the folder that was asked for.
    assert [one.artifact for one in found] == [str(tmp_path / name / "artifacts/a") for name in ("old", "new", "new")]
    elsewhere = replace(first, artifact=str(tmp_path / "elsewhere"))
    write_records(tmp_path / "new" / "records.jsonl", [elsewhere])
    assert read_all(tmp_path)[-1].artifact == elsewhere.artifact


def test_a_folder_without_records_says_what_to_do(tmp_path):
    with pytest.raises(MillisError, match=r"no records.jsonl under .*: run `millis sweep` first, or give records=FILE"):
        read_all(tmp_path)
