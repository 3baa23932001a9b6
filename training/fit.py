"""Training: a net and a data set in, a run folder with `best` and `last` checkpoints out.

`best` is chosen on the validation split; the test split is not looked at here. The loop is Lightning's; the parts of
it that are ours stand in `fitting/`.
"""

import math
import signal
from dataclasses import dataclass
from pathlib import Path

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback, Trainer, seed_everything
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities.exceptions import SIGTERMException

from training import checkpoint, data, network, provenance
from training.checkpoint import Blueprint
from training.config import FitConfig, Hardware
from training.errors import Interrupted, InvalidCheckpoint, InvalidOption, TrainingError
from training.fitting import devices, epoch_log
from training.fitting import folder as folders
from training.fitting.callbacks import BestCheckpoint, Interruption, LastCheckpoint, SeedEpochs
from training.fitting.classifier import Classifier
from training.fitting.folder import RunFolder
from training.fitting.loading import Batches, require_even_share
from training.fitting.progress import progress
from training.quiet import quiet

LOG_EVERY = 10  # steps


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run: its folder, its checkpoints, the validation accuracy of `best`, and the data it was trained on.

    Of several processes that trained together, one is `first`; the others have nothing left to do.
    """

    folder: Path
    best: Path
    last: Path
    validation_top1: float
    dataset: data.Dataset
    first: bool = True


def fit(config: FitConfig, runs: Path, hardware: Hardware | None = None, resume: RunFolder | None = None) -> Run:
    """Train, into a new run folder `<runs>/<net>-<dataset>-<number>`, or go on with the run *resume*.

    A run that goes on has its own *config*, weights, optimiser, schedule and progress; only the hardware can be
    another. Raises `UnknownName`, `InvalidData` or `InvalidOption` before anything is written, `Interrupted` once it
    is saved and can be gone on with, or has reached its end meanwhile.
    """
    hardware = hardware or Hardware()
    if resume is not None:
        config = resume.config()
        require_own(resume.last, config.net)
    dataset = data.load(config.dataset, config.data_options)
    seed_everything(config.seed, workers=True, verbose=False)
    blueprint = _blueprint(config, dataset)
    with quiet():
        batches = math.ceil(len(dataset.train.files) / config.batch_size)
        trainer = _trainer(config, hardware, log_every=min(LOG_EVERY, batches))
        require_even_share(config.batch_size, trainer.world_size)
        classifier = Classifier(blueprint, config, steps=config.epochs * math.ceil(batches / config.accumulate))
        folder = resume or _create(trainer, config, runs)
        if trainer.is_global_zero:
            _write_down(folder, config, blueprint, devices.environment(trainer.world_size, trainer.precision), resume)
        interruption, best = Interruption(folder), BestCheckpoint(folder.best.parent)
        trainer.loggers = [TensorBoardLogger(folder.path, name="tensorboard", version="")]
        callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined] # set in its constructor
        callbacks.extend(_callbacks(config, len(dataset.train.files), folder, interruption, best))
        splits = Batches(dataset, config, devices.workers(hardware))
        try:
            with interruption.listening():
                trainer.fit(
                    classifier, splits, ckpt_path=folder.last if resume else None, weights_only=True if resume else None
                )
                run = _finish(folder, best, trainer, config, dataset)
        except SIGTERMException as error:
            raise _interrupted(folder, Interrupted(folder.path, signal.SIGTERM), trainer) from error
        except Interrupted as error:
            raise _interrupted(folder, error, trainer) from error
    if interruption.signum:  # too late to stop the run, and not too late for what comes after it
        raise ended(run, interruption.signum)
    return run


def ended(run: Run, signum: int) -> Interrupted:
    """Return the error of what was interrupted behind the end of a run."""
    error = Interrupted(run.folder, signum)
    error.best, error.first, error.saved = run.best, run.first, True
    return error


def require_own(path: Path, net: str) -> None:
    """Raise `InvalidCheckpoint` where a checkpoint to go on from is damaged, or another network's."""
    theirs = checkpoint.load(path)[0].net
    if theirs != net:
        raise InvalidCheckpoint(f"{path}: is a {theirs}, and the run trains a {net}")


def _blueprint(config: FitConfig, dataset: data.Dataset) -> Blueprint:
    return Blueprint(
        net=config.net,
        options=config.options,
        dataset=data.resolve(config.dataset),
        labels=dataset.labels,
        geometry=dataset.geometry,
        normalisation=network.measure(data.batches(dataset.train.files, dataset.geometry, batch_size=64)),
        seed=config.seed,
        git_commit=provenance.git_commit(),
        libraries=provenance.library_versions(),
    )


def _trainer(config: FitConfig, hardware: Hardware, log_every: int) -> Trainer:
    """Return a trainer without callbacks; they need a folder, and that needs to know which process this is."""
    try:
        return Trainer(
            max_epochs=config.epochs,
            accelerator="gpu" if devices.on_gpu(hardware) else "cpu",
            devices=devices.devices(hardware),
            num_nodes=hardware.num_nodes,
            strategy=hardware.strategy,
            precision=devices.arithmetic(hardware, config.precision),  # type: ignore[arg-type] # one of its literals
            accumulate_grad_batches=config.accumulate,
            sync_batchnorm=devices.on_gpu(hardware),  # torch has it for GPUs only
            use_distributed_sampler=False,  # `loading` shares out the images
            deterministic="warn",
            logger=False,
            log_every_n_steps=log_every,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
        )
    except MisconfigurationException as error:
        raise InvalidOption(" ".join(str(error).split())) from error


def _create(trainer: Trainer, config: FitConfig, runs: Path) -> RunFolder:
    """Make the run's folder, once: what the other processes name is never written to."""
    name = folders.folder_name(config)
    return folders.create(runs, name) if trainer.is_global_zero else RunFolder(runs / name)


def _write_down(
    folder: RunFolder, config: FitConfig, blueprint: Blueprint, environment: dict[str, object], resume: object
) -> None:
    if resume is None:
        folder.write_config(config, blueprint.model_dump(mode="json"))
    folder.add_environment(environment)


def _callbacks(
    config: FitConfig, images: int, folder: RunFolder, interruption: Interruption, best: BestCheckpoint
) -> list[Callback]:
    """Return them in the order in which they are to be called: `last` saves what the others have settled."""
    early = [EarlyStopping("val_accuracy", mode="max", patience=config.patience)] if config.patience else []
    return [
        SeedEpochs(config.seed),
        interruption,
        epoch_log.EpochLog(folder.metrics, images),
        progress(images),
        *early,
        best,
        LastCheckpoint(folder.last.parent),
    ]


def _interrupted(folder: RunFolder, error: Interrupted, trainer: Trainer) -> Interrupted:
    if trainer.is_global_zero:
        folder.write_result({"state": "interrupted", "epochs": trainer.current_epoch, "steps": trainer.global_step})
    error.first, error.saved = trainer.is_global_zero, folder.last.is_file()
    return error


def _finish(folder: RunFolder, best: BestCheckpoint, trainer: Trainer, config: FitConfig, dataset: data.Dataset) -> Run:
    if best.best_model_score is None:
        raise TrainingError(f"{folder.path}: the run ended before its first validation")
    top1 = float(best.best_model_score)
    if trainer.is_global_zero:
        epochs = epoch_log.read(folder.metrics)
        folder.write_result(
            {
                "state": "finished",
                "epochs": epochs[-1].epoch,
                "stopped_early": epochs[-1].epoch < config.epochs,
                "validation_top1": top1,
                "training_s": round(sum(epoch.seconds for epoch in epochs), 3),
            }
        )
    return Run(folder.path, folder.best, folder.last, top1, dataset, first=trainer.is_global_zero)
