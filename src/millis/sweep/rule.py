"""The rule by which a study's trials are ended before their time: kept with the study, which goes on under no other."""

from typing import Any

import optuna

from millis.errors import MillisError

KEY = "rule"  # attribute of a study
NONE = "none"


def hold_to(study: optuna.Study, rule: Any, *, begun: bool) -> None:
    """Keep `rule` with a study, or find it there.

    Args:
        rule: JSON-able, with a `_target_`; None where nothing says.
        begun: Whether the study has trials.

    Raises:
        MillisError: trials were begun under another rule.
    """
    kept = study.user_attrs.get(KEY)
    if begun and _told(kept) != _told(rule):
        raise MillisError(
            f"study {study.study_name!r} began with study.rungs={_shown(kept)}, now it is {_shown(rule)}: what one "
            "rule ended the other might not have. Choose another study.name, or restore study.rungs"
        )
    if kept != rule:
        study.set_user_attr(KEY, rule)


def _told(rule: Any) -> Any:
    """A rule, or None for that which ends nothing: studies that began before there were rules say nothing."""
    return None if _shown(rule) == NONE else rule


def _shown(rule: Any) -> str:
    """`Rungs(shares=[0.25, 0.5, 1], kept=0.5)`."""
    said = dict(rule or {"_target_": NONE})
    name = str(said.pop("_target_", "")).rpartition(".")[2]
    return f"{name}({', '.join(f'{key}={value}' for key, value in said.items())})" if said else name
