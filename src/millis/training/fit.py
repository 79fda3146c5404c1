"""Fit: one Lightning training run, resumable, that leaves the best weights in the model."""

import logging
import signal
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch

from millis.data.encode import Encoded
from millis.data.module import SplitsModule
from millis.errors import MillisError, nearest
from millis.training import memory
from millis.training.adversarial import Adversarial
from millis.training.averaging import Averaging
from millis.training.callbacks import Noise, OwnSignals, Progress
from millis.training.checkpoints import AtomicCheckpoints, resumable
from millis.training.ending import Ending
from millis.training.length import Length
from millis.training.module import VALIDATION, TextModule
from millis.training.precision import Savings, bf16_pays, on_gpu, savings
from millis.training.processes import Ranks, led
from millis.training.rungs import Rungs
from millis.training.settled import ModelCheckpoint, settled

STRATEGIES = ("auto", "ddp")
PREFIX = "model."  # of the weights inside a TextModule's checkpoint


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch; before fresh weights are made as well as before training."""
    pl.seed_everything(seed, verbose=False)


@dataclass(frozen=True)
class Fitted:
    """How a run went; one that was continued counts whole.

    Args:
        quality: Best validation quality, as `TextModule` logs it: more is better.
        epochs: Done.
        seconds: Wall clock.
        history: One row an epoch.
        rise: Percentage points by which validation still rose in the last epoch, if their 95 % interval excludes zero;
            else 0.
    """

    quality: float
    epochs: int
    seconds: float
    history: list[dict[str, float]]
    rise: float = 0.0

    @classmethod
    def of(cls, runs: "Sequence[Fitted]") -> "Fitted":
        """Trainings that followed one another, as one; the last one's quality is what they led to."""
        return cls(
            runs[-1].quality,
            sum(run.epochs for run in runs),
            sum(run.seconds for run in runs),
            [row for run in runs for row in run.history],
            runs[-1].rise,
        )

    def note(self, trainer: str) -> str | None:
        """What a reader should know of a training that ended too soon; `trainer` is the config key of its trainer."""
        if not self.rise:
            return None
        return (
            f"validation still rose by {self.rise:.1f} points in the last of {self.epochs} epochs: the model is not "
            f"finished. Raise {trainer}.max_epochs, and {trainer}.budget_s where it is set"
        )


@dataclass(frozen=True)
class Fit:
    """Trains until validation no longer rises (`millis.training.length`) and restores the best epoch's weights.

    Epochs in which a callback still changes the model (`settled` is False) neither end it nor are restored.

    Args:
        max_epochs: A `Length`, which follows from the number of rows; or upper bound of epochs, where the learning rate
            reaches zero. With 0 there is nothing to train: a teacher is taken as it is.
        batch_size: B, over all devices together, so that more of them give the same training sooner.
        patience: Epochs in a row without a rise of the validation metric beyond its standard error, after which the
            rate goes to zero within half as many epochs as there were.
        budget_s: Seconds that the training may take: after each epoch, fewer are planned where the rest does not fit.
            None for no limit. With a limit, what is learned depends on the machine's speed, and a schedule of pruning,
            tokens or quantization, which is planned for all epochs, may not come to its end.
        precision: Lightning's: `32-true`, `bf16-mixed`, ... (on a CPU `16-mixed` silently becomes bf16); `auto` is
            `bf16-mixed` where that is measured to be faster, elsewhere `32-true`.
        accelerator: Lightning's: `auto`, `gpu`, `cpu`.
        devices: GPUs, or processes on a CPU, that train together; `auto` is every GPU, or one process on a CPU.
        strategy: `auto`, or `ddp`: each device holds the model and takes its share of every batch (data parallel,
            Li et al. 2020, 2006.15704). `auto` is `ddp` where there are several. Gradients are the mean of the shares'
            means: the same as one device's where shares are equal, and the objective a mean over rows.
        gradient_clip_val: Largest gradient norm.
        averaging: Decay of the moving average of weights that is validated and kept in place of the last ones
            (`millis.training.averaging`), such as 0.999; None keeps the last ones.
        adversarial: How far word vectors are moved against the model (`millis.training.adversarial`), such as 0.2; None
            does not.
        flags: Anything else that `pytorch_lightning.Trainer` takes, such as `limit_train_batches`.
    """

    max_epochs: int | Length
    batch_size: int = 32
    patience: int = 3
    budget_s: float | None = None
    precision: str = "32-true"
    accelerator: str = "auto"
    devices: int | str = 1
    strategy: str = "auto"
    gradient_clip_val: float | None = 1.0
    averaging: float | None = None
    adversarial: float | None = None
    flags: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if isinstance(self.max_epochs, int) and self.max_epochs < 0:
            raise MillisError(f"trainer.max_epochs={self.max_epochs}: expected at least 1")
        if self.batch_size < 1:
            raise MillisError(f"trainer.batch_size={self.batch_size}: expected at least 1")
        if self.budget_s is not None and not self.budget_s > 0:
            raise MillisError(f"trainer.budget_s={self.budget_s}: expected seconds above 0, or null for no limit")
        _world(self.accelerator, self.devices, self.strategy, self.batch_size)

    @property
    def trains(self) -> bool:
        """Whether there is an epoch at all."""
        return self.max_epochs != 0

    @property
    def length(self) -> Length:
        """How long it takes."""
        return self.max_epochs if isinstance(self.max_epochs, Length) else Length(1, self.max_epochs, self.max_epochs)

    @cached_property
    def world(self) -> int:
        """How many processes train together."""
        return _world(self.accelerator, self.devices, self.strategy, self.batch_size)

    @cached_property
    def for_trainer(self) -> dict[str, Any]:
        """What `pytorch_lightning.Trainer` is given."""
        precision = self.precision
        if precision == "auto":
            precision = "bf16-mixed" if bf16_pays(self.accelerator) else "32-true"
        return {
            "precision": precision, "accelerator": self.accelerator, "devices": self.world,
            "gradient_clip_val": self.gradient_clip_val, "log_every_n_steps": 10, **self.flags,
        }  # fmt: skip

    def epochs(self, rows: int) -> int:
        """Epochs that are planned over so many training rows."""
        return self.length.epochs(rows, self.batch_size)

    def with_epochs(self, epochs: int) -> "Fit":
        """The same, for so many epochs."""
        return replace(self, max_epochs=epochs)

    def __call__(
        self,
        module: TextModule,
        train: Encoded,
        validation: Encoded,
        pad_id: int,
        *,
        folder: Path,
        seed: int,
        title: str,
        callbacks: Sequence[pl.Callback] = (),
        logger: Any = False,
    ) -> Fitted:
        """Train `module.model` in place.

        Args:
            folder: For checkpoints; one found there is continued from, if it is `resumable`.

        Raises:
            MillisError: no epoch, the loss became NaN or infinite, training ended before the model had its final form,
                or weights are to be averaged over steps between which a callback changes the model.
            Stopped: `Rungs` among the callbacks ended it.
        """
        if not self.trains:
            raise MillisError(f"trainer.max_epochs={self.max_epochs}: expected at least 1")
        run = _Run(self, module, (train, validation), pad_id, folder, seed, title, tuple(callbacks))
        with led(self.world, run, folder) as ranks:
            best, progress, ending, epochs = run(ranks, logger)
        for one in callbacks:
            if isinstance(one, Rungs) and one.stopped is not None:
                one.stopped.seconds = progress.seconds
                raise one.stopped
        _restore(module, best)
        assert best.best_model_score is not None  # `_restore` refuses a run without one
        return Fitted(float(best.best_model_score), epochs, progress.seconds, progress.history, ending.unfinished)


@dataclass(frozen=True)
class _Run:
    """One training, as every process of it carries it out; pickled whole for those that follow."""

    fit: Fit
    module: TextModule
    splits: tuple[Encoded, Encoded]
    pad_id: int
    folder: Path
    seed: int
    title: str
    callbacks: tuple[pl.Callback, ...]

    def __call__(self, ranks: Ranks | None, logger: Any = False) -> tuple[ModelCheckpoint, Progress, Ending, int]:
        """Train; what became of it."""
        _quieten()
        memory.keep()
        self.module.train()  # Lightning leaves modes as they are, and a model that was read from a file is in the other
        seed_everything(self.seed)
        data = SplitsModule(*self.splits, self.pad_id, self.fit.batch_size, self.seed)
        last = resumable(self.folder)
        first = ranks is None or ranks.rank == 0
        if first and last is None and str(self.fit.for_trainer["precision"]).endswith("-mixed"):
            _tell(self._savings(data), self.title, logger)
        progress = Progress(self.title)  # its clock starts here
        ending = Ending(self.fit.patience, self.fit.length.most, self.fit.budget_s, progress)
        best = ModelCheckpoint(
            self.folder, "best", monitor=VALIDATION, mode="max", save_last=True, enable_version_counter=False
        )
        trainer = pl.Trainer(
            **{**self.fit.for_trainer, **({} if self.module.objective.answers else {"limit_val_batches": 1})},
            max_epochs=self.fit.epochs(len(data.train)),
            strategy="auto" if ranks is None else ranks.strategy(),
            logger=logger,
            callbacks=[
                progress,
                ending,
                best,
                OwnSignals(),
                Noise(self.seed, 0 if ranks is None else ranks.rank),
                *([] if self.fit.adversarial is None else [Adversarial(self.fit.adversarial)]),
                *self.callbacks,
                *self._averaging(),
            ],
            plugins=[AtomicCheckpoints()],
            use_distributed_sampler=False,  # `SplitsModule` shares every batch out
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
        )
        with _interruptible():
            trainer.fit(self.module, data, ckpt_path=last, weights_only=True)
        if best.best_model_score is None and not settled(trainer):
            raise MillisError(
                f"training ended after {trainer.current_epoch} epochs, before the model had its final form: shorten "
                "the schedule of pruning, tokens or quantization (a longer cooldown ends it sooner) or raise "
                f"trainer.{'max_epochs' if self.fit.budget_s is None else 'budget_s'}"
            )
        return best, progress, ending, trainer.current_epoch

    def _savings(self, data: SplitsModule) -> Savings:
        """What this precision saves on an average batch."""
        rows = np.linspace(0, len(data.train) - 1, min(self.fit.batch_size, len(data.train))).astype(int).tolist()
        batch = data.train.__getitems__(rows)
        return savings(self.module.model, batch, self.fit.for_trainer["precision"], self.fit.for_trainer["accelerator"])

    def _averaging(self) -> list[pl.Callback]:
        """The averaging, if there is one, set up after the other callbacks have given the model its form."""
        if self.fit.averaging is None:
            return []
        if changing := [type(one).__name__ for one in self.callbacks if hasattr(one, "settled")]:
            raise MillisError(
                f"trainer.averaging={self.fit.averaging} would mix weights from before and after {changing[0]} changed "
                "the model: an average of masks or of rounding steps is neither. Choose trainer.averaging=null, or no "
                "pruning, no tokens and no quantization-aware training"
            )
        return [Averaging(self.fit.averaging)]


def _world(accelerator: str, devices: int | str, strategy: str, batch_size: int) -> int:
    """How many processes train together.

    Raises:
        MillisError: a strategy that there is not, or devices that cannot share a batch.
    """
    if strategy not in STRATEGIES:
        raise MillisError(
            f"trainer.strategy={strategy}{nearest(strategy, STRATEGIES)}: expected one of {', '.join(STRATEGIES)}. "
            "Strategies that shard a model over GPUs, such as fsdp, are for models larger than those trained here"
        )
    gpus = on_gpu(accelerator)
    found = torch.cuda.device_count() if gpus else 1
    wanted = found if devices == "auto" else devices
    if not str(wanted).isdecimal() or int(wanted) < 1 or batch_size % int(wanted):
        raise MillisError(
            f"trainer.devices={devices} and batch_size={batch_size}: expected `auto`, or a number of devices that "
            "divides batch_size, so that all get the same share of every batch"
        )
    if gpus and int(wanted) > found:
        raise MillisError(f"trainer.devices={devices}: this machine has {found} GPUs. Lower it")
    return int(wanted)


def _tell(saved: Savings, title: str, logger: Any) -> None:
    """Print and log what mixed precision saves."""
    print(f"  {title}  {saved}", file=sys.stderr, flush=True)
    if logger:
        logger.log_metrics({"precision/speedup": saved.speedup, "precision/memory_ratio": saved.memory_ratio}, step=0)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Ctrl-C stays a KeyboardInterrupt: Lightning turns it into an exit and ignores the next one."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as leaving:
        if not isinstance(leaving.__context__, KeyboardInterrupt):
            raise
        raise KeyboardInterrupt from leaving
    finally:
        if signal.getsignal(signal.SIGINT) is not handler:
            signal.signal(signal.SIGINT, handler)


def _restore(module: TextModule, best: ModelCheckpoint) -> None:
    """Load the best epoch's weights into `module.model`, on the CPU."""
    if best.best_model_score is None or not torch.isfinite(best.best_model_score):
        raise MillisError("training gave no finite validation metric; lower optimizer.lr or check the data")
    state = torch.load(best.best_model_path, map_location="cpu", weights_only=True)["state_dict"]
    module.cpu()
    module.model.load_state_dict(
        {name.removeprefix(PREFIX): value for name, value in state.items() if name.startswith(PREFIX)}
    )
    if not all(torch.isfinite(value).all() for value in module.model.parameters()):
        raise MillisError("training diverged: weights are not finite. Lower optimizer.lr")
    module.model.eval()


def _quieten() -> None:
    """Lightning's advice on workers and devices is not about anything the user did."""
    for name in ("pytorch_lightning", "lightning.pytorch", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="pytorch_lightning|lightning_fabric|torch")
