"""Between Hydra's override language and the search space. (The leading underscore keeps Hydra's plugin scan out.)"""

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.types import Override, Quote, QuotedString
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from millis.errors import MillisError

if TYPE_CHECKING:  # Hydra loads plugins at each start, and the space brings Optuna
    from millis.sweep.space import Space

PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
WORDS = {"null", "true", "false", "inf", "nan"}  # what Hydra's grammar would not read as text


def text_of(value: Any) -> str:
    """A drawn `value` as the right side of an override: `text_of("a b")` is `'a b'` with the quotes."""
    if value is None or isinstance(value, bool | int | float):
        return "null" if value is None else str(value).lower()
    if PLAIN.fullmatch(value) and value.lower() not in WORDS:
        return str(value)
    return str(QuotedString(value, Quote.single).with_quotes())


def entry_of(override: Override, kind: str | None) -> dict[str, Any]:
    """A Hydra sweep as an entry of the space.

    `kind` is the key's kind in the space it replaces. Hydra reads `interval(1,5)` as real numbers; it is one of whole
    numbers if the key was, or if written `int(interval(1,5))`.
    """
    value = override.value()
    if override.is_interval_sweep():
        bounds = [value.start, value.end]
        whole = all(isinstance(one, int) for one in bounds)
        if kind == "int" and all(one == int(one) for one in bounds):
            whole, bounds = True, [int(one) for one in bounds]
        return {"int" if whole else "float": bounds, "log": "log" in value.tags}
    values = list(override.sweep_iterator(transformer=_plain))
    if not override.is_range_sweep():
        return {"choice": values}
    if not values:
        raise MillisError(f"{override.input_line}: the range is empty; its stop is exclusive")
    values = sorted(values)  # exclusive stop and negative steps are thereby settled
    number = "int" if all(isinstance(one, int) for one in values) else "float"
    entry: dict[str, Any] = {number: [values[0], values[-1]]}
    return {**entry, "step": abs(value.step)} if len(values) > 1 else entry


def prefixes(keys: Iterable[str]) -> dict[str, str]:
    """Key → its `+` or `++`, for the keys that need one: `["+a.b"]` gives `{"a.b": "+"}`."""
    return {key.lstrip("+"): key[: -len(key.lstrip("+"))] for key in keys if key.startswith("+")}


def narrow(space: "Space", overrides: list[Override]) -> tuple["Space", dict[str, str], list[str]]:
    """Apply a command line: its sweeps replace or add entries, its plain values remove them.

    Returns:
        The space that is left, and what the command line fixed as key → text. A fixed key that is still in the space
        is set only where its condition holds. And the deletions (`~key`), as written.
    """
    texts: dict[str, str] = {}
    deletions: list[str] = []
    for override in overrides:
        if override.is_delete():
            deletions.append(override.input_line)
            continue
        key = override.get_key_element().lstrip("+")
        if override.is_sweep_override():
            kind = "int" if key in space and "IntDistribution" in type(space[key].distribution).__name__ else None
            space = space.with_entry(key, entry_of(override, kind))
        else:
            space = space.with_value(key, override.value())
            texts[key] = override.get_value_element_as_str()
    return space, texts, deletions


def constants(config: DictConfig, keys: Iterable[str]) -> list[str]:
    """The values of `keys` in a composed config, as overrides that keep them in each trial."""
    return [f"{key}={text_of(OmegaConf.select(config, key))}" for key in keys]


def fixed_values(config: DictConfig) -> dict[str, Any]:
    """All that a composed config settles: config groups with the option chosen, and values under their dotted keys.

    A group's name stands for its option even where the config has a mapping of that name. Values that cannot be
    resolved yet (missing, or made of such) are left out.
    """
    values: dict[str, Any] = {}

    def walk(node: Any, prefix: str) -> None:
        for key in node:
            name = f"{prefix}{key}"
            if name == "hydra":
                continue
            try:
                value = node[key]
            except OmegaConfBaseException:
                continue
            if isinstance(value, DictConfig):
                walk(value, f"{name}.")
            else:
                values[name] = OmegaConf.to_container(value) if isinstance(value, ListConfig) else value

    walk(config, "")
    choices: Mapping[str, Any] = config.hydra.runtime.choices
    return values | {key: choice for key, choice in choices.items() if not key.startswith("hydra/")}


def _plain(value: Any) -> Any:
    return value.text if isinstance(value, QuotedString) else value
