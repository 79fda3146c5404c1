"""`millis benchmark`: any artifacts, side by side, on this machine."""

from collections.abc import Sequence
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from millis.benchmark.latency import Options
from millis.cli.recipes import inputs_of
from millis.cli.targets import instantiate
from millis.pipeline.analysis import Analysis, recommended
from millis.pipeline.artifacts import measured_records, named, reference_of
from millis.record import Record, write_records
from millis.report.analysis import print_analysis
from millis.report.records import print_notes, print_records
from millis.report.text import wide_console


def run(cfg: DictConfig) -> list[Record]:
    """Measure latency, size, memory and quality of `cfg.artifacts`; the reference comes first in every round."""
    artifacts = named([Path(str(artifact)) for artifact in cfg.artifacts])
    inputs, options = inputs_of(cfg), instantiate(cfg.benchmark)
    asked = Analysis(cfg.limit, cfg.profile, cfg.curves, cfg.goal, cfg.bound_ms)
    reference = reference_of(artifacts, cfg.reference)
    records = measured_records(artifacts, inputs, options, asked, reference, trust_code=cfg.trust_code)
    path = Path(cfg.records) if cfg.records else _run_folder(cfg) / "records.jsonl"
    write_records(path, records)
    _show(asked, records, inputs.dataset.notes, options, reference, path)
    return records


def _show(
    asked: Analysis, records: list[Record], notes: Sequence[str], options: Options, reference: str, path: Path
) -> None:
    console = wide_console()
    print_records(records, console=console)
    print_notes(notes, console)
    print_analysis(records, console)
    if (crowding := options.crowded()) is not None:
        console.print(f"warning: {crowding}", soft_wrap=True)
    for name, sentence in recommended(asked, records):
        console.print(f"{name}: {sentence}", soft_wrap=True)
    console.print(f"speed-ups are over {reference}; records: {path}", soft_wrap=True, highlight=False)


def _run_folder(cfg: DictConfig) -> Path:
    if HydraConfig.initialized():
        return Path(HydraConfig.get().runtime.output_dir)
    return Path(cfg.paths.outputs) / "benchmark"
