"""Faults of a command line in plain words: which part is wrong, and what to write instead."""

import errno
import re
from collections.abc import Iterator

from hydra.errors import (
    ConfigCompositionException,
    HydraException,
    MissingConfigException,
    OverrideParseException,
    SearchPathException,
)
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from millis.cli.groups import groups, homes, options, packages, takers
from millis.cli.hydra_app import composed, keys_of, split
from millis.errors import MillisError, nearest

UNWRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENOTDIR}


def explain(error: BaseException, command: str, arguments: list[str]) -> str | None:
    """A fault in the user's own words, or None where it is a bug that deserves its traceback."""
    for cause in _causes(error):
        if isinstance(cause, MillisError):
            return str(cause)
    missing = re.search(r"[Mm]issing mandatory value: (\S+)", str(error))
    if missing:
        key = missing[1] if "." in missing[1] else getattr(error, "full_key", None) or missing[1]
        return f"{key} is needed: add {key}=... to the command (`millis {command} --help` shows what there is)"
    if isinstance(error, OSError) and error.errno in UNWRITABLE:  # Hydra makes the run's folder before anything else
        return (
            f"cannot use {error.filename}: {error.strerror}. Mend that or choose another folder with paths.outputs=..."
        )
    if isinstance(error, HydraException | OmegaConfBaseException | ValueError):
        return _hydras(error, command, arguments)
    return None


def _hydras(error: BaseException, command: str, arguments: list[str]) -> str | None:
    """What Hydra and OmegaConf find wrong."""
    if isinstance(error, OverrideParseException):
        return _unreadable(error)
    if isinstance(error, SearchPathException):
        return f"{error}. Give --config-dir a folder that is there"
    if isinstance(error, ConfigCompositionException):
        return _composition(error, command, arguments)
    if isinstance(error, ValueError):  # of Hydra only where it says this; InstantiationException is none of these
        return _no_option(arguments) if "group override" in str(error) else None
    return re.split(r"\n\s*full_key", str(error))[0].replace("\n", " ")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _unreadable(error: OverrideParseException) -> str:
    """An override that Hydra's grammar does not take, and how to quote it where that would mend it."""
    override = str(error.override)
    key, equals, value = override.partition("=")
    if not equals:
        return f"cannot read the override {override!r}: expected key=value"
    reason = error.message.splitlines()[0].removeprefix("LexerNoViableAltException: ").removesuffix(override)
    if len(reason) > 80:  # Hydra lists every token that its grammar knows
        reason = reason[: reason.find("expecting")].strip()
    words = ": ".join(part for part in (f"cannot read the override {override!r}", reason) if part)
    return f"{words}. To mean it as text, quote the value: {_as_text(key, value)}"


def _as_text(key: str, value: str) -> str:
    """How a shell hands over a quoted value: `'data.path="/x/a=b"'`."""
    escaped = value.strip("'\"").replace("\\", "\\\\").replace('"', '\\"')
    argument = f'{key}="{escaped}"'
    if "'" not in argument:
        return f"'{argument}'"
    for special in ("\\", '"', "$", "`"):
        argument = argument.replace(special, f"\\{special}")
    return f'"{argument}"'


def _composition(error: BaseException, command: str, arguments: list[str]) -> str:
    """Why the overrides do not make a config."""
    if isinstance(error, MissingConfigException) and error.options:
        group, _, wanted = (error.missing_cfg_file or "").rpartition("/")
        known = ", ".join(error.options)
        return f"{group} has no {wanted!r}{nearest(wanted, error.options)}. Expected one of: {known}"
    message = str(error)
    if several := re.search(r"(?:Ambiguous value for argument|Sweep parameters) '(.+?)'(?: requires|\n|$)", message):
        key, _, value = several[1].partition("=")
        as_list = f"{key}=[{value}] for a list, " if "(" not in value else ""
        return (
            f"{several[1]} names several values. Add -m to run them one after another, or write {as_list}"
            f"{_as_text(key, value)} for text"
        )
    if existing := re.search(r"An item is already at '([^']+)'", message):
        return f"{existing[1]} is there already: write {existing[1]}=... without the +"
    return _unknown_key(error, command, arguments)


def _no_option(arguments: list[str]) -> str:
    """A group that is given something else than the name of an option."""
    for argument in arguments:
        group, _, value = argument.lstrip("+").partition("=")
        name = group.partition("@")[0]
        if name in groups() and value not in options(name):
            return f"{group}={value}: expected one of {', '.join(options(name))}"
    return "a group is given something else than the name of an option"


def _unknown_key(error: BaseException, command: str, arguments: list[str]) -> str:
    """For an unknown key or group: where it does exist, else the nearest that does; else Hydra's message."""
    message = str(error)
    found = re.search(r"Could not override '([^']+)'", message) or re.search(r"Key '([^']+)' is not in struct", message)
    if not found:
        reasons = dict.fromkeys(str(cause).splitlines()[0] for cause in _causes(error) if str(cause))
        return ". ".join(reason for reason in reasons if "$VALUE" not in reason)  # OmegaConf's unfilled template
    wanted = found[1].split("@")[0]
    cfg = _valid(command, arguments, found[1])
    valid = [*keys_of(cfg), *groups()]
    inner = re.search(r"Key '([^']+)' is not in struct", f"{message}\n{error.__cause__}")
    if "@" in found[1]:
        uses = [key for key, group, _ in packages(cfg.hydra.runtime.choices) if group == wanted]
        return f"{wanted} is not used at {found[1].partition('@')[2]!r}. Expected one of: {', '.join(uses)}"
    if wanted in keys_of(cfg):
        return _new_inside(wanted, inner[1] if inner else None)
    return (
        _elsewhere(wanted, cfg)
        or _other_commands(wanted, command)
        or f"no config key {wanted!r}{nearest(wanted, valid)}. `millis {command} --cfg job` shows every key"
    )


def _valid(command: str, arguments: list[str], wrong: str) -> DictConfig:
    """The config of the command without what is wrong in it."""
    try:
        single, _ = split(arguments)
        return composed(command, [one for one in single if one.split("=")[0] != wrong], hydra_node=True)
    except (HydraException, OmegaConfBaseException, ValueError):  # more is wrong; the plain command still helps
        return composed(command, [], hydra_node=True)


def _new_inside(key: str, inner: str | None) -> str:
    """A mapping that is given a key which it does not have."""
    named = f"has no key {inner!r}" if inner else "does not take this value"
    return f"{key} {named}; to add keys to it, write two plus signs: '++{key}={{...}}'. What is there already stays"


def _elsewhere(wanted: str, cfg: DictConfig) -> str | None:
    """A key of options that are not chosen: which, and what is chosen instead."""
    choices = cfg.hydra.runtime.choices
    for key, group, package in packages(choices):
        if wanted.startswith(f"{package}.") and (having := homes(wanted, group, package)):
            wait = [option for option, node in having.items() if node[wanted.rpartition(".")[2]] == "???"]
            found = wait or list(having)  # options that wait for the key are meant rather than those that have a value
            of = " or ".join(f"{key}={option}" for option in found)
            return f"{wanted} belongs to {of}, and {key}={choices[key]} is chosen: add the one that is meant"
    return None


def _other_commands(wanted: str, command: str) -> str | None:
    """A group or key that this command does without."""
    name = wanted.split(".", maxsplit=1)[0]
    others = takers(name)
    if command in others or not others:
        return None
    listed = ", ".join(others[:-1]) + (" and " if others[1:] else "") + others[-1]
    return f"millis {command} takes no {name!r}: it is of millis {listed}"
