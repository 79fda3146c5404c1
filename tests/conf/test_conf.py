"""All of conf/: it is found by walking, so a new file is tested without an edit here.

Every root composes and resolves; every option of every group composes in a root that uses the group; every `_target_`
resolves and takes exactly the keys beside it; every searched key exists; a misspelled key is named with its nearest.
"""

import inspect
from dataclasses import fields, is_dataclass, replace
from functools import cache
from pathlib import Path

import optuna
import pytest
from hydra import compose, initialize_config_dir
from hydra.errors import ConfigCompositionException, MissingConfigException
from hydra.utils import get_object
from labelled import counted, encoded
from omegaconf import OmegaConf
from optuna.distributions import CategoricalDistribution

from hydra_plugins.millis_sweeper._overrides import fixed_values, text_of
from millis import models
from millis.cli.capable import capable
from millis.cli.hydra_app import conf_dir, register_resolvers
from millis.cli.kinds import bound, check_value
from millis.cli.main import COMMANDS, run
from millis.cli.recipes import PLAIN, recipe_of
from millis.data.batches import Rows
from millis.distillation.contract import Pair
from millis.pipeline.recipe import Recipe
from millis.sweep.space import Space

TEACHER = {
    "family": "transformer",
    "encoder": {
        "model_type": "bert", "vocab_size": 50, "num_hidden_layers": 6, "hidden_size": 96, "num_attention_heads": 12,
        "intermediate_size": 192, "max_position_embeddings": 20, "pad_token_id": 0,
    },
    "shape": {"head_size": 8, "heads": [12] * 6, "ffn": [192] * 6},
    "affixes": [[2], [3]], "pooling": "mean", "dropout": 0.0, "num_labels": 3,
}  # fmt: skip
CONF = conf_dir()
ROOTS = sorted(path.stem for path in CONF.glob("*.yaml"))
OPTIONS = sorted(
    (str(path.parent.relative_to(CONF)), path.stem) for path in CONF.rglob("*.yaml") if path.parent != CONF
)  # (group, option)
HYDRA_KEYS = {"_target_", "_partial_", "_recursive_", "_convert_", "_args_"}


@cache
def composed(root, *overrides):
    """The config of a root under overrides, Hydra's own node included."""
    register_resolvers()
    with initialize_config_dir(str(CONF), version_base="1.3", job_name=root):
        return compose(root, list(overrides), return_hydra_config=True)


def choices(root):
    """Key in the defaults list (`group` or `group@package`) → option."""
    return dict(composed(root).hydra.runtime.choices)


@cache
def keys_of(group):
    """[(root, overrides under which the group is used, key, option by default)]; roots that are quick to compose first.

    A group that no root has may be one inside another: `pruning/criterion` is used where an option of `pruning` is.
    """
    small_first = sorted(ROOTS, key=lambda root: len(choices(root)))
    found = _uses(group, [(root, ()) for root in small_first])
    outer = str(Path(group).parent)
    if found or outer == ".":
        return found
    options = [option for of, option in OPTIONS if of == outer]
    return _uses(group, [(root, (f"{key}={option}",)) for root, _, key, _ in keys_of(outer) for option in options])


def _uses(group, places):
    return [
        (root, under, key, option)
        for root, under in places
        for key, option in composed(root, *under).hydra.runtime.choices.items()
        if key.split("@")[0] == group
    ]


def nodes(node, where=""):
    """(place, node) of every mapping with a `_target_`."""
    if isinstance(node, dict):
        if "_target_" in node:
            yield where, node
        for key, value in node.items():
            yield from nodes(value, f"{where}.{key}".lstrip("."))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from nodes(value, f"{where}[{index}]")


@cache
def faults(target, keys):
    """What is wrong with a `_target_` and the keys beside it: in words, none if they fit."""
    made = get_object(target)
    try:
        parameters = inspect.signature(made).parameters
    except ValueError:  # some builtins have none
        return [f"{target} is given {sorted(keys)}"] if keys else []
    free = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    named = {
        name
        for name, parameter in parameters.items()
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    }
    if is_dataclass(made):
        named -= {field.name for field in fields(made) if field.metadata.get("learned")}
    needed = {name for name in named if parameters[name].default is inspect.Parameter.empty}
    expected = named if target.startswith("millis.") else needed  # of other people's, most are better left alone
    unknown, unset = sorted(keys - named) if not free else [], sorted(expected - keys)
    return [f"{target} has no parameter {name!r}" for name in unknown] + [f"{target} misses {name!r}" for name in unset]


def check(cfg):
    """Every target takes its keys, every value is of its kind, interpolations resolve when mandatory keys are given."""
    found = OmegaConf.to_container(cfg, resolve=False)
    wrong = [
        f"{where}: {fault}"
        for where, node in nodes(found)
        for fault in faults(node["_target_"], frozenset(node) - HYDRA_KEYS)
    ]
    assert not wrong, "\n".join(wrong)
    given = cfg.copy()
    for key, value in leaves({name: node for name, node in found.items() if name != "hydra"}):
        if value == "???":
            OmegaConf.update(given, key, "given")
    values = {
        key: OmegaConf.to_container(given[key], resolve=True, throw_on_missing=True)
        if OmegaConf.is_config(given[key])
        else given[key]
        for key in set(given) - {"hydra"}
    }
    for key, value, kind in bound(values):
        if value != "given":
            check_value(key, value, kind)


def leaves(node, prefix=""):
    """(dotted key, value) of everything that is no mapping."""
    for key, value in node.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def test_there_is_a_root_for_each_command():
    assert set(COMMANDS) <= set(ROOTS)


@pytest.mark.parametrize("root", ROOTS)
def test_a_root_composes_and_its_targets_take_its_keys(root):
    check(composed(root))


@pytest.mark.parametrize(("group", "option"), OPTIONS, ids=map("/".join, OPTIONS))
def test_an_option_composes_wherever_its_group_is_used(group, option):
    if group.startswith("hydra/"):
        assert any(choices(root).get(group) == option for root in ROOTS), "no root overrides to it"
        return
    uses = keys_of(group)
    assert uses, f"no root config has the group {group!r}"
    composes, failures = 0, []
    for key in dict.fromkeys(key for _, _, key, _ in uses):
        for root, under, default in [(root, under, default) for root, under, found, default in uses if found == key]:
            try:
                cfg = composed(root, *under) if default == option else composed(root, *under, f"{key}={option}")
            except (ConfigCompositionException, MissingConfigException) as error:  # an experiment may need one command
                failures.append(f"{root}: {error}")
                continue
            check(cfg)
            composes += 1
            break
    assert composes, "\n".join(failures)


def searched():
    """(root, override that chooses a search space, or '' for its default)."""
    for root in ROOTS:
        if OmegaConf.select(composed(root), "study.space") is not None:
            yield root, ""
            others = [(group, option) for group, option in OPTIONS if group in ("study", "study/space", "experiment")]
            yield from ((root, f"{group}={option}") for group, option in others if choices(root)[group] != option)


@pytest.mark.parametrize(("root", "override"), [*searched()])
def test_every_key_of_a_search_space_exists(root, override):
    cfg = composed(root, *filter(None, [override]))
    space = Space.parse(OmegaConf.to_container(cfg.study.space, resolve=True), fixed_values(cfg))
    for recipe in OmegaConf.to_container(cfg.study.enqueue, resolve=True):
        space.check(recipe)
    together = {}  # what is sampled under the same choices
    for parameter in space.parameters:
        drawn = parameter.distribution
        first = drawn.choices[0] if isinstance(drawn, CategoricalDistribution) else drawn.low
        under = tuple(f"{key}={text_of(values[0])}" for key, values in parameter.when.items())
        together.setdefault(under, []).append(f"{parameter.key}={text_of(first)}")
    for under, firsts in together.items():
        composed(root, *filter(None, [override]), *under, *firsts)


@pytest.mark.parametrize("group", [field.name for field in fields(Recipe) if field.name not in PLAIN])
def test_another_method_is_another_study(group):
    chosen = choices("sweep")[group]
    other = next(option for known, option in OPTIONS if known == group and option != chosen)
    assert composed("sweep", f"{group}={other}").study.name != composed("sweep").study.name


@pytest.mark.parametrize("study", ["default", "long", "methods"])
def test_a_search_begins_with_whole_shapes_from_end_to_end_of_the_range(study):
    """What is cut further is told from what distillation alone gives only where that was tried."""
    recipes = OmegaConf.to_container(composed("sweep", f"study={study}").study.enqueue, resolve=True)
    cuts = [any(recipe.get(key, "none") != "none" for key in ("pruning", "early_exit", "tokens")) for recipe in recipes]
    assert cuts == sorted(cuts)
    whole = {
        (recipe["student"], recipe.get("student.layers")) for recipe, cut in zip(recipes, cuts, strict=True) if not cut
    }
    assert whole >= {("ngrams", None), ("static", None), *(("transformer", layers) for layers in (1, 2, 3))}
    assert all(recipe.get("student.ffn_size", 1) == recipe.get("student.heads", 1) == 1 for recipe in recipes)


@pytest.mark.parametrize("study", ["default", "methods", "elastic"])
def test_what_a_search_draws_is_never_refused(study):
    """Neither as a recipe nor when its terms are bound to a student of a teacher as the default one, but narrower."""
    cfg = composed("sweep", f"study={study}")
    space = Space.parse(OmegaConf.to_container(cfg.study.space, resolve=True), fixed_values(cfg))
    space = capable(cfg, space, lambda _: None)
    asked = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    teacher, rows = models.build(models.read(TEACHER)), Rows(encoded([[2, 5, 3]], [0], 3), 0)
    for _ in range(10):
        drawn = space.sample(asked.ask())
        recipe = recipe_of(composed("sweep", *(f"{key}={text_of(value)}" for key, value in drawn.items())))
        spec = recipe.student.spec(teacher.spec)
        if recipe.student.fits:  # to texts: they say how many n-grams there are
            spec = replace(spec, vocab_size=12)
        for method in (recipe.early_exit, recipe.tokens):
            spec = spec if method is None else method.spec(spec)
        student = models.build(spec)
        if recipe.growing is not None:
            recipe.growing.final_spec(spec)
        for stage in recipe.stages:
            stage.distillation.objective(counted([1, 1, 1]), Pair(student, teacher, rows, rows))


@pytest.mark.parametrize("root", sorted(COMMANDS))
def test_a_misspelled_key_is_named_with_its_nearest(root, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("MILLIS_OUTPUTS", str(tmp_path))
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    monkeypatch.setattr("sys.argv", ["millis"])
    cfg = OmegaConf.to_container(composed(root), resolve=False)
    key = max((key for key in keys_under(cfg) if not key.startswith("hydra")), key=lambda key: (len(key), key))
    misspelled = key[:-2] + key[-1]
    assert run(root, [f"{misspelled}=1"]) == 2
    assert capsys.readouterr().err == (
        f"error: no config key {misspelled!r} (did you mean {key!r}?). `millis {root} --cfg job` shows every key\n"
    )
    assert list(tmp_path.iterdir()) == []


def keys_under(node, prefix=""):
    for key, value in node.items():
        yield f"{prefix}{key}"
        if isinstance(value, dict) and all(isinstance(inner, str) and "." not in inner for inner in value):
            yield from keys_under(value, f"{prefix}{key}.")


# The walk itself: it must see what is wrong.


def test_the_walk_sees_unknown_and_missing_keys():
    target = "millis.training.optim.AdamW"
    keys = {"lr", "head_lr", "layer_decay", "weight_decay", "warmup", "pair_share", "freeze_embeddings"}
    assert faults(target, frozenset(keys)) == []
    assert faults(target, frozenset({*keys - {"warmup"}, "warm_up"})) == [
        f"{target} has no parameter 'warm_up'", f"{target} misses 'warmup'"
    ]  # fmt: skip
    assert faults("builtins.bool", frozenset({"x"})) == ["builtins.bool is given ['x']"]
    assert faults("optuna.samplers.TPESampler", frozenset({"n_startup_trails"}))[0].endswith("'n_startup_trails'")


def test_the_walk_sees_nodes_at_any_depth():
    tree = {"a": {"_target_": "x", "b": [{"_target_": "y"}]}, "c": {"d": {"_target_": "z"}}}
    assert [(where, node["_target_"]) for where, node in nodes(tree)] == [("a", "x"), ("a.b[0]", "y"), ("c.d", "z")]


def test_the_walk_finds_every_file():
    files = {str(path.relative_to(CONF).with_suffix("")) for path in Path(CONF).rglob("*.y*ml")}
    assert files == {*ROOTS, *("/".join(option) for option in OPTIONS)}
