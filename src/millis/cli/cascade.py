"""`millis cascade`: a fast and an accurate artifact become one, which asks the second where the first is not sure."""

from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from omegaconf import DictConfig, open_dict

from millis import __version__
from millis.benchmark.latency import HERE
from millis.benchmark.members import stages_of
from millis.benchmark.quality import answer
from millis.budget import describe_budget, judged_quantile, latency_limits, latency_probability, quantile
from millis.cli import benchmark
from millis.cli.plain import plain
from millis.cli.recipes import inputs_of
from millis.cli.targets import instantiate
from millis.early_exit.policy import maximum_probability
from millis.errors import MillisError
from millis.metrics.rounds import requests_for
from millis.models.outputs import require_one_text
from millis.pipeline.artifacts import check_tasks
from millis.pipeline.inputs import Inputs
from millis.pipeline.place import slug
from millis.record import Record
from millis.report.text import wide_console
from millis.serving import cascade
from millis.serving.cascade import MEMBERS, check_members, read_alike
from millis.serving.cascade_threshold import Validation, choose, describe, points
from millis.serving.runner import bound_threads, check_trusted, load
from millis.storage.manifest import Manifest, open_manifest
from millis.store import fingerprint
from millis.units import percent

LIMITS = ("quality_drop", "latency_p50_ms", "latency_p99_ms")
ONCE = ("decode",)  # stages that a text sent on to the accurate member does not pay for twice
ONCE_WHERE_READ_ALIKE = ("tokenize", "feed", *ONCE)


def run(cfg: DictConfig) -> list[Record]:
    """Choose the threshold on the validation split, write the cascade, measure it beside its members."""
    if cfg.benchmark.where != HERE:
        raise MillisError(
            f"millis cascade times its members here, and benchmark.where={cfg.benchmark.where} asks for another "
            f"machine. Give the command there, or set benchmark.where={HERE}"
        )
    folders = {name: Path(str(cfg[name])) for name in MEMBERS}
    manifests = {name: open_manifest(folder) for name, folder in folders.items()}
    for manifest in manifests.values():
        check_trusted(manifest, cfg.trust_code)
    members = {name: (folders[name], manifests[name]) for name in MEMBERS}
    check_members(members)
    advice = "Give artifacts that answer one label a text (task=classification)"
    require_one_text(manifests["fast"].signature.outputs, "a cascade", advice)
    inputs = inputs_of(cfg)
    check_tasks(manifests, inputs.task)
    candidates = points(validated(cfg, inputs, members), lambda predictions: _quality(inputs, predictions))
    chosen = choose(candidates, {name: cfg.cascade[name] for name in LIMITS})
    key = fingerprint("cascade", __version__, [one.fingerprint for one in manifests.values()], chosen.threshold)
    name = f"cascade {manifests['fast'].name} + {manifests['accurate'].name}"
    folder = Path(cfg.paths.outputs).absolute() / "artifacts" / f"{slug(name)}-{key[:8]}"
    cascade.write(folder, members, name, chosen.threshold, recipe=plain(cfg), fingerprint=key)
    limits = latency_limits({name: cfg.cascade[name] for name in LIMITS})
    with open_dict(cfg):
        cfg.benchmark.quantile = judged_quantile(limits, cfg.benchmark.quantile)
        cfg.artifacts = [str(place) for place in (folders["accurate"], folders["fast"], folder)]
        cfg.reference = None
        cfg.limit = cfg.profile = cfg.curves = False  # what they tell is about one model
        cfg.goal = cfg.bound_ms = None
    records = benchmark.run(cfg)
    console = wide_console()
    console.print(
        f"{describe(chosen)}; on test it answers {records[-1].metrics['fast_share']:.0f} %",
        soft_wrap=True,
        highlight=False,
    )
    if limits:
        kept = percent(latency_probability(records[-1], limits))
        console.print(f"{describe_budget(limits)}: kept with probability {kept}", soft_wrap=True, highlight=False)
    console.print(f"artifact: {folder}", soft_wrap=True)
    return records


def validated(cfg: DictConfig, inputs: Inputs, members: Mapping[str, tuple[Path, Manifest]]) -> Validation:
    """Both members on the validation split: their answers to all texts, their times on `cfg.cascade.texts`.

    Limits on a quantile of the latency ask for as many as it takes (`requests_for`), where there are so many.

    A text that was not timed is given the times of the next one that was, by length.
    """
    texts, threads = inputs.dataset.validation.texts, torch.get_num_threads()
    answers = {}
    for name, (folder, manifest) in members.items():
        bound = bound_threads(manifest, threads)
        answers[name] = answer(load(folder, bound, verify=False, trust_code=cfg.trust_code), texts)
    lengths = [len(text) if isinstance(text, str) else sum(map(len, text)) for text in texts]
    by_length = np.argsort(lengths, kind="stable")
    limits = latency_limits({name: cfg.cascade[name] for name in LIMITS})
    wanted = max([cfg.cascade.texts, *(requests_for(quantile(name)) for name in limits)])
    timed = np.unique(np.linspace(0, len(texts) - 1, min(wanted, len(texts))).astype(int))  # ranks
    folders = {name: folder for name, (folder, _) in members.items()}
    stages = stages_of(folders, [texts[by_length[rank]] for rank in timed], instantiate(cfg.benchmark))
    once = ONCE_WHERE_READ_ALIKE if read_alike(members) else ONCE
    nearest = np.searchsorted(timed, np.argsort(by_length))  # of each text, the timed one of its rank or the next
    logits = np.concatenate([outputs[0] for outputs in answers["fast"].outputs])
    return Validation(
        confidence=maximum_probability.score([logits]).astype(np.float64),
        fast=np.array(answers["fast"].predictions),
        accurate=np.array(answers["accurate"].predictions),
        fast_ms=_sum(stages["fast"])[nearest],
        accurate_ms=_sum(stages["accurate"], without=once)[nearest],
    )


def _sum(stages: Mapping[str, NDArray[np.float64]], without: Collection[str] = ()) -> NDArray[np.float64]:
    """Milliseconds of each text, [N], in all stages but those."""
    return np.asarray(np.stack([taken for name, taken in stages.items() if name not in without]).sum(axis=0))


def _quality(inputs: Inputs, predictions: ArrayLike) -> float:
    return inputs.score(predictions, inputs.dataset.validation.references)
