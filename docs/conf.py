"""The documentation as a site (Sphinx): `make docs` writes it to outputs/site."""

from collections.abc import Iterator
from pathlib import Path

from sphinx.application import Sphinx

import millis

ROOT = Path(__file__).parents[1]
SETTINGS = ("hydra", "paths")  # not choices of a user

project = "millis"
author = "The millis authors"
version = release = millis.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = f"millis {release}"
autodoc_member_order = "bysource"
autodoc_typehints = "description"
default_role = "code"  # docstrings write code as Markdown does
napoleon_use_rtype = False
myst_heading_anchors = 3
suppress_warnings = ["myst.xref_missing"]  # links from the README to folders and files that are no pages


def config_pages(conf: Path) -> Iterator[str]:
    """Every YAML of `conf`, group by group: what its first comment says, and its keys with their comments."""
    yield (
        "# Configs\n\nEvery choice is a YAML file. `key=value` changes a key, `group=name` takes another file, and "
        "`millis COMMAND --cfg job` prints what a command would run."
    )
    group = None
    for path in sorted(conf.rglob("*.yaml"), key=lambda path: (path.parent.as_posix(), path.name)):
        folder = path.parent.relative_to(conf).as_posix()
        if folder.split("/")[0] in SETTINGS:
            continue
        if folder != group:
            group = folder
            yield f"## {'Commands' if group == '.' else group}"
        lines = path.read_text(encoding="utf-8").splitlines()
        first = next((row for row, line in enumerate(lines) if not line.startswith("#")), len(lines))
        said = " ".join(line.removeprefix("#").strip() for line in lines[:first])
        name = path.stem if group == "." else f"{group}={path.stem}"
        yield f"### {name}\n\n{said}\n\n```yaml\n" + "\n".join(lines[first:]).strip() + "\n```"


def write_config_page(app: Sphinx) -> None:
    """Before the pages are read."""
    text = "\n\n".join(config_pages(ROOT / "conf")) + "\n"
    page = Path(app.srcdir) / "config.md"
    if not page.is_file() or page.read_text(encoding="utf-8") != text:
        page.write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> None:
    app.connect("builder-inited", write_config_page)
