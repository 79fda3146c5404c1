"""How many places name the groups of methods: a new group is to be named in few."""

import ast
from dataclasses import fields
from pathlib import Path

import yaml

from millis.pipeline.recipe import Recipe

ROOT = Path(__file__).parents[1]
GROUPS = {one.name for one in fields(Recipe)} - {"ensemble", "blend", "seed"}
LISTED = 3  # groups in one list, tuple or set, from which on it is a list of groups
LISTS = {
    ("src/millis/pipeline/recipe.py", 1),  # those that answer texts
    ("src/millis/pipeline/keys.py", 2),  # that weights depend on in another way; that a runtime is chosen for
    ("src/millis/cli/targets.py", 1),  # packages that a config may name: what a new one adds to
}


def lists_of(path):
    """How many displays of a file list groups."""
    displays = (
        node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Tuple | ast.List | ast.Set)
    )
    named = ({one.value for one in node.elts if isinstance(one, ast.Constant)} & GROUPS for node in displays)
    return sum(len(names) >= LISTED for names in named)


def test_few_places_list_the_groups():
    found = {(str(path.relative_to(ROOT)), lists_of(path)) for path in sorted((ROOT / "src").rglob("*.py"))}
    assert {(path, count) for path, count in found if count} == LISTS


def test_a_group_is_a_field_of_the_recipe_and_a_line_of_the_base_config():
    base = yaml.safe_load((ROOT / "conf" / "base.yaml").read_text())
    chosen = {key for entry in base["defaults"] if isinstance(entry, dict) for key in entry}
    assert chosen >= GROUPS
    assert {path.name for path in (ROOT / "conf").iterdir() if path.is_dir()} >= GROUPS
