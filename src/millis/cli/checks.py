"""What a command line chooses and what it varies: options that exist, and values that their keys take."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hydra.core.override_parser.types import Override, QuotedString
from omegaconf import DictConfig, OmegaConf

from millis.cli.groups import check_option, groups, homes, packages
from millis.cli.kinds import bound, check_value, fits, parameters
from millis.errors import MillisError


def check_choices(cfg: DictConfig, runtime: DictConfig) -> None:
    """Refuse an option that its group does not have, and a plain value in the place of a group.

    Hydra passes over a missing option of a group that is optional, such as `debug=fsat`.

    Args:
        runtime: `hydra.runtime` of the composed config.

    Raises:
        MillisError: what there is, or how the option is chosen.
    """
    for key, group, package in packages(runtime.choices):
        if runtime.choices[key] is None:  # optional, and not chosen
            continue
        check_option(group, runtime.choices[key], runtime)
        node = OmegaConf.select(cfg, package)
        if not (node is None or OmegaConf.is_config(node)):
            raise MillisError(f"{package}={node}: an option of {group} is chosen by {key}={node}")


def check_swept(cfg: DictConfig, runtime: DictConfig, swept: Sequence[Override]) -> None:
    """Refuse values that a sweep would try and that their key cannot have.

    Args:
        cfg: The config without what is varied.
        swept: Overrides of several values; `cfg.study.space` and `cfg.study.enqueue` are looked at too.

    Raises:
        MillisError: the first value that no trial could take.
    """
    kinds = {key: kind for key, _, kind in bound(_plain(cfg))}
    known = set(groups())
    for key, value in _varied(cfg, swept):
        if key in known:
            check_option(key, value, runtime)
            continue
        found = [kinds[key]] if key in kinds else [*_kinds_elsewhere(key, runtime.choices)]
        if found and not any(fits(value, kind) for kind in found):
            check_value(key, value, found[0])


def _varied(cfg: DictConfig, swept: Sequence[Override]) -> Iterator[tuple[str, Any]]:
    """(key, value) of all that trials may be given."""
    for override in swept:
        if override.is_choice_sweep():
            for value in override.sweep_iterator(transformer=_text):
                yield override.get_key_element().lstrip("+"), value
    study = _plain(cfg.study) if "study" in cfg else {}
    replaced = {override.get_key_element().lstrip("+") for override in swept}
    for key, entry in study.get("space", {}).items():
        if key not in replaced:
            named = [entry[kind] for kind in ("choice", "int", "float") if isinstance(entry.get(kind), list)]
            yield from ((key, value) for values in named for value in values)
    for recipe in study.get("enqueue", []):
        yield from recipe.items()


def _kinds_elsewhere(key: str, choices: Mapping[str, Any]) -> Iterator[Any]:
    """What `key` may be under options that are not chosen."""
    for _, group, package in packages(choices):
        if key.startswith(f"{package}."):
            for node in homes(key, group, package).values():
                yield parameters(node["_target_"]).get(key.rpartition(".")[2], Any) if "_target_" in node else Any


def _plain(node: Any) -> Any:
    return OmegaConf.to_container(node, resolve=True)


def _text(value: Any) -> Any:
    if isinstance(value, list):
        return [_text(one) for one in value]
    return value.text if isinstance(value, QuotedString) else value
