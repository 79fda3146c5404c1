"""`millis train`: fine-tune a teacher, or find that it was done already."""

from omegaconf import DictConfig

from millis.cli.recipes import run_of
from millis.pipeline.compress import teacher_record
from millis.record import Record
from millis.report.records import print_notes, print_records
from millis.report.text import wide_console


def run(cfg: DictConfig) -> Record:
    """Train the teacher and measure it; returns its record."""
    asked = run_of(cfg, student=False)
    record, fitted = teacher_record(asked), asked.teacher.fitted
    console = wide_console()
    print_records([record], console=console)
    print_notes(record.notes, console)
    console.print(
        f"{fitted.epochs} epochs in {fitted.seconds:.0f} s; "
        f"best validation {record.quality} {record.reading.sign * fitted.quality:.2f}"
    )
    console.print(f"artifact: {record.artifact}", soft_wrap=True)
    return record
