"""The documentation as a site: it builds without a warning, and every config is in its reference."""

import shutil
from pathlib import Path

import pytest
from sphinx.cmd.build import main

ROOT = Path(__file__).parents[1]


@pytest.mark.filterwarnings("ignore::sphinx.deprecation.RemovedInSphinx11Warning")  # of its own extensions
def test_the_site_builds_and_has_every_config(tmp_path):
    source = tmp_path / "docs"
    shutil.copytree(ROOT / "docs", source)
    for name in ("README.md", "CONTRIBUTING.md", "conf", "src"):
        (tmp_path / name).symlink_to(ROOT / name)
    assert main(["-q", "-W", "--keep-going", str(source), str(tmp_path / "site")]) == 0
    configs = (tmp_path / "site" / "config.html").read_text(encoding="utf-8")
    assert "pruning/criterion=fisher" in configs
    assert "the teacher&#x2019;s share" in configs or "the teacher's share" in configs
    assert 'href="methods.html"' in (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    assert "Carry out one recipe" in (tmp_path / "site" / "api.html").read_text(encoding="utf-8")
