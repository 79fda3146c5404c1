"""Who may import whom, what stays light, how large things grow, and what no file may name: read off the sources."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from itertools import chain
from pathlib import Path

import pytest

import millis
from millis import tasks

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"
FILES = sorted(SOURCE.rglob("*.py"))

# Upper rows may import lower ones; names in one row do not import each other. `millis` itself is the version.
ORDER = [
    {"api", "functions"},
    {"cli", "hydra_plugins"},
    {"pipeline"},
    {"sweep", "report", "tracking"},
    {"benchmark"},
    {"server"},
    {"applications"},
    {"serving"},
    {"backends"},
    {"training"},
    {"early_exit", "elastic"},
    {"distillation", "pruning", "quantization", "factorization", "storage", "token_pruning"},
    {"tasks"},
    {"data"},
    {"models"},
    {"budget"},
    {"frontier"},
    {"metrics", "generation"},
    {"record"},
    {"store", "schema"},
    {"temporaries", "waiting", "children"},
    {"traits", "described"},
    {"types", "units", "errors", "collective", "cpus"},
    {"millis"},
]
LEVEL = {name: level for level, names in enumerate(ORDER) for name in names}
WITHOUT_TRAINING = {
    "backends",
    "serving",
    "server",
    "applications",
    "benchmark",
    "sweep",
    "report",
}  # what runs where nothing is trained
OWNERS = {
    "hydra": {"cli", "hydra_plugins"},
    "omegaconf": {"cli", "hydra_plugins"},
    "wandb": {"tracking"},
    "pytorch_lightning": {"data", "training"},
    "optuna": {"sweep", "hydra_plugins"},
}


def part_of(module: str) -> str:
    """`millis.data.batches` → `data`; `millis` and names in its `__init__` → `millis`."""
    first, *rest = module.split(".")
    if first != "millis":
        return first
    package = SOURCE / "millis"
    inside = rest and ((package / rest[0]).is_dir() or (package / f"{rest[0]}.py").is_file())
    return rest[0] if inside else "millis"


def module_of(path: Path) -> str:
    """`src/millis/data/__init__.py` → `millis.data`."""
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """(line, module) of every import in a file, those inside functions and for type checkers included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, name.name) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            yield from ((node.lineno, f"{node.module}.{name.name}") for name in node.names)


def imports() -> Iterator[tuple[str, str, str]]:
    """(place, part that imports, part or library that is imported)."""
    for path in FILES:
        for line, name in imported(path):
            yield f"{path.relative_to(ROOT)}:{line}", part_of(module_of(path)), part_of(name)


def test_every_part_has_its_place_in_the_order():
    parts = {part_of(module_of(path)) for path in FILES}
    assert parts <= set(LEVEL), f"name a new part in ORDER: {parts - set(LEVEL)}"


def test_the_order_is_the_one_on_paper():
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    listed = page.split("## Who may import whom")[1].split("```")[1]
    rows = [set(re.findall(r"\w+", row)) for line in listed.strip().splitlines() for row in line.split("→")]
    assert rows == [names for names in ORDER if names != {"millis"}]


def test_no_exported_name_is_a_package_as_well():
    # `millis.report` cannot be a function and a package: whichever is imported last would win.
    both = [name for name in millis.__all__ if (SOURCE / "millis" / name).is_dir()]
    assert not both


def test_imports_go_one_way():
    wrong = [
        f"{place}: {source} imports {target}"
        for place, source, target in imports()
        if target in LEVEL and target != source and LEVEL[target] <= LEVEL[source]
    ]
    assert not wrong, "\n".join(wrong)


def graph(files: dict[str, Path]) -> dict[str, set[str]]:
    """Module → the modules of `files` that it names in imports, those inside functions and for type checkers included.

    The packages around them, which Python runs as well, are not named and do not count.
    """

    def nearest(name: str) -> str:  # `millis.data.batches.Rows` → `millis.data.batches`
        while name and name not in files:
            name = name.rpartition(".")[0]
        return name

    return {
        module: {found for _, name in imported(path) if (found := nearest(name)) and found != module}
        for module, path in files.items()
    }


def circles(edges: dict[str, set[str]]) -> list[list[str]]:
    """Nodes that lead to each other: the strongly connected components of more than one."""

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        ahead = [start]
        while ahead:
            for node in edges[ahead.pop()] - seen:
                seen.add(node)
                ahead.append(node)
        return seen

    ahead = {node: reached(node) for node in edges}
    found = {frozenset(other for other in ahead[node] if node in ahead[other]) for node in edges if node in ahead[node]}
    return sorted(sorted(circle) for circle in found)


def test_no_modules_import_each_other():
    found = circles(graph({module_of(path): path for path in FILES}))
    assert not found, "\n".join(" ↔ ".join(circle) for circle in found)


def test_circles_are_found_wherever_an_import_stands(tmp_path):
    texts = {
        "p": "",
        "p.a": "from p.b import x",
        "p.b": "def f():\n    from p import c",  # a module, where `p` has it as an attribute
        "p.c": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import p.a",
        "p.d": "from p.a import x\nfrom p.d import y",
        "p.e": "import p.f",
        "p.f": "from p.e import x",
    }
    files = {name: tmp_path / f"{name}.py" for name in texts}
    for name, text in texts.items():
        files[name].write_text(text)
    assert graph(files)["p.b"] == {"p.c"}
    assert circles(graph(files)) == [["p.a", "p.b", "p.c"], ["p.e", "p.f"]]


def test_what_serves_and_measures_never_imports_training():
    wrong = [place for place, source, target in imports() if source in WITHOUT_TRAINING and target == "training"]
    assert not wrong, "\n".join(wrong)


def test_nobody_knows_a_task_by_its_name():
    names = {f"millis.tasks.{name}" for name in tasks.names()}
    wrong = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in FILES
        for line, name in imported(path)
        if part_of(module_of(path)) != "tasks" and any(name == one or name.startswith(f"{one}.") for one in names)
    ]
    assert not wrong, "\n".join(wrong)


PIPELINE = sorted((SOURCE / "millis" / "pipeline").rglob("*.py"))


def test_the_pipeline_knows_no_config():
    word = re.compile(r"\bcfg\b|omegaconf|hydra", re.IGNORECASE)
    wrong = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in PIPELINE
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if word.search(line)
    ]
    assert not wrong, "\n".join(wrong)


def calls(paths: list[Path], *names: str) -> set[tuple[str, str]]:
    """(file, source) of every call of a function that is called one of `names`."""
    return {
        (path.name, ast.unparse(node))
        for path in paths
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) in names
    }


def test_the_pipeline_asks_methods_what_they_are_and_looks_at_no_class():
    """Of traits (`millis.traits`), not of classes, follows what is done with a method; these are data."""
    assert calls(PIPELINE, "isinstance", "issubclass", "hasattr", "type") == {
        ("application.py", "isinstance(outcome, one.Compressed)"),
        ("forecast.py", "isinstance(value, float)"),
        ("inputs.py", "isinstance(other, _Source)"),
        ("recipe.py", "isinstance(described, Mapping)"),
        ("records.py", "isinstance(planned.tokenizer, NgramTokenizer)"),
        ("teacher_search.py", "isinstance(length, int)"),
    }


def test_every_stage_is_kept_under_a_key_of_one_file():
    elsewhere = calls([path for path in PIPELINE if path.name != "keys.py"], "fingerprint")
    assert elsewhere == {
        # Whether it was opened in this process already.
        ("teacher.py", "fingerprint(str(folder), described(tuning.task), described(tuning.data))"),
        # Of a record of what was measured now, which is not kept to be found again.
        (
            "artifacts.py",
            "fingerprint('benchmark', manifests[name].fingerprint, name, measured[name].latency_ms)",
        ),
    }


def test_the_reader_of_calls_sees_all_of_them(tmp_path):
    (tmp_path / "a.py").write_text(
        "import x\nif isinstance(1, int):\n    x.hasattr(f(isinstance(y, A)), 'b')\nz = hasattr\n"
    )
    assert calls([tmp_path / "a.py"], "isinstance", "hasattr") == {
        ("a.py", "isinstance(1, int)"), ("a.py", "isinstance(y, A)"), ("a.py", "x.hasattr(f(isinstance(y, A)), 'b')")
    }  # fmt: skip


@pytest.mark.parametrize("library", OWNERS)
def test_a_large_library_is_imported_in_its_own_place_only(library):
    found = [(place, source) for place, source, target in imports() if target == library]
    assert found, f"nothing imports {library}: take it off the list"
    wrong = [f"{place}: {source} imports {library}" for place, source in found if source not in OWNERS[library]]
    assert not wrong, "\n".join(wrong)


def test_the_reader_of_imports_sees_all_of_them(tmp_path):
    (tmp_path / "a.py").write_text(
        "import os, hydra.utils\nfrom millis import models, __version__\n"
        "def f():\n    from millis.data.batches import Rows\n"
    )
    assert list(imported(tmp_path / "a.py")) == [
        (1, "os"), (1, "hydra.utils"), (2, "millis.models"), (2, "millis.__version__"), (4, "millis.data.batches.Rows")
    ]  # fmt: skip
    names = ["hydra.utils", "millis.models", "millis.__version__", "millis.data.batches.Rows", "millis"]
    assert [part_of(name) for name in names] == ["hydra", "models", "millis", "data", "millis"]


@pytest.mark.parametrize(
    ("statement", "heavy"),
    [
        ("import millis", "torch transformers numpy hydra optuna wandb pytorch_lightning"),
        ("from millis.cli.main import usage; usage()", "torch transformers numpy hydra optuna wandb pytorch_lightning"),
        (
            "import millis.backends.onnxruntime, millis.serving.runner; import millis; millis.load",
            "torch transformers hydra optuna wandb pytorch_lightning sklearn evaluate",
        ),
        (
            # docker/requirements.txt has nothing of these
            "import millis.server.supervisor, millis.server.application, millis.server.served",
            "torch transformers hydra optuna wandb pytorch_lightning sklearn evaluate datasets pyarrow onnx scipy",
        ),
    ],
)
def test_what_must_start_quickly_stays_light(statement, heavy):
    code = f"{statement}\nimport sys\nprint(*(set({heavy.split()}) & set(sys.modules)))"
    environment = {"PYTHONPATH": str(SOURCE), "PATH": ""}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert run.stdout.split() == []


def test_every_library_that_is_imported_is_a_dependency():
    found = packages_distributions()
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    lines = [*project["dependencies"], *chain.from_iterable(project["optional-dependencies"].values())]
    declared = {re.match(r"[\w-]+", line)[0].lower().replace("_", "-") for line in lines}
    names = {name.split(".")[0] for path in FILES for _, name in imported(path)}
    foreign = names - sys.stdlib_module_names - {"millis", "hydra_plugins"}
    undeclared = {
        name for name in foreign if not declared & {one.lower().replace("_", "-") for one in found.get(name, [name])}
    }
    assert undeclared == set()


def test_the_citation_names_this_version():
    assert f"\nversion: {millis.__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


def test_files_stay_short():
    long = {str(path.relative_to(ROOT)): count for path in FILES if (count := len(path.read_text().splitlines())) > 400}
    assert not long, f"past 400 lines: is there a second idea inside? {long}"


def test_functions_stay_short():
    long = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno - node.lineno + 1 > 60
    ]
    assert not long, f"past 60 lines: {long}"


def test_every_file_says_what_it_is():
    silent = [
        str(path.relative_to(ROOT)) for path in FILES if not ast.get_docstring(ast.parse(path.read_text("utf-8")))
    ]
    assert not silent


# In pieces, so that this file does not name them either.
FOLDERS = ["work", "tmp", "root", "home", "farm", "mnt"]
HOSTS = ["py" + "pi.", "npm" + "js.", "debian" + r"\.org", "files.python" + "hosted"]
FORBIDDEN = re.compile(rf"(?<![\w.}}~])/(?:{'|'.join(FOLDERS)})/|\b(?:{'|'.join(HOSTS)})", re.IGNORECASE)


def test_no_file_names_a_machines_folders_or_a_registrys_host():
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    found = []
    for name in filter(None, listed.stdout.split("\0")):
        try:
            lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
        except (UnicodeDecodeError, OSError):  # no text, or deleted and not yet committed
            continue
        found += [
            f"{name}:{number}: {line.strip()[:100]}" for number, line in enumerate(lines, 1) if FORBIDDEN.search(line)
        ]
    assert not found, "\n".join(found)


def test_the_pattern_finds_what_it_should():
    assert all(FORBIDDEN.search(f'path = "/{folder}/x"') for folder in FOLDERS)
    assert all(FORBIDDEN.search(f"https://{host.replace(chr(92), '')}org/simple") for host in HOSTS)
    assert not FORBIDDEN.search("see outputs/tmp/x, ~/home/ and paths.outputs=.../work/")
