"""A run's own folder: what lies in it, how the next one is numbered, and which of them is gone on with.

```
<runs>/<net>-<dataset>-<number>/
    config.json        what determines the run, resolved; and the blueprint of its network
    environment.json   where it ran: one entry for each time that it was started or resumed
    metrics.csv        one line an epoch
    tensorboard/       the same, and the loss of every tenth step, for TensorBoard
    checkpoints/       best.ckpt (weights), last.ckpt (all that it takes to go on)
    result.json        written when the run ends, in whatever way
```
"""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from training.config import FitConfig
from training.errors import InvalidRun
from training.options import dataset_name

AUTO = "auto"
CONFIG = TypeAdapter(FitConfig)


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The paths in a run's folder, and what is read from them."""

    path: Path

    @property
    def best(self) -> Path:
        """Weights of the epoch with the best validation accuracy."""
        return self.path / "checkpoints" / "best.ckpt"

    @property
    def last(self) -> Path:
        """Weights, optimiser, schedule and progress."""
        return self.path / "checkpoints" / "last.ckpt"

    @property
    def metrics(self) -> Path:
        """One line an epoch."""
        return self.path / "metrics.csv"

    def config(self) -> FitConfig:
        """Return what determines the run; raises `InvalidRun` if the folder is none."""
        path = self.path / "config.json"
        known = {field.name for field in fields(FitConfig)}
        try:
            content = json.loads(path.read_bytes())["config"]
            unknown = sorted(content.keys() - known)
            config = None if unknown else CONFIG.validate_python(content)
        except FileNotFoundError as error:
            raise InvalidRun(f"{self.path}: not a run's folder: it has no config.json") from error
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            raise InvalidRun(f"{path}: not the configuration of a run") from error
        if config is None:
            raise InvalidRun(f"{path}: made by another version of this code: {', '.join(unknown)}")
        return config

    def result(self) -> dict[str, Any] | None:
        """Return how the run ended; None while it has not, or if it was killed."""
        try:
            result: dict[str, Any] = json.loads((self.path / "result.json").read_bytes())
        except (OSError, ValueError):
            return None
        return result

    def finished(self) -> bool:
        """Whether there is nothing left to train."""
        result = self.result()
        return result is not None and result.get("state") == "finished"

    def write_config(self, config: FitConfig, blueprint: Mapping[str, Any]) -> None:
        """Write what determines the run."""
        write_json(
            self.path / "config.json", {"config": CONFIG.dump_python(config, mode="json"), "blueprint": blueprint}
        )

    def add_environment(self, environment: Mapping[str, Any]) -> None:
        """Write down where the run is started or resumed."""
        path = self.path / "environment.json"
        before = json.loads(path.read_bytes()) if path.is_file() else []
        write_json(path, [*before, environment])

    def write_result(self, result: Mapping[str, Any]) -> None:
        """Write how the run ended."""
        write_json(self.path / "result.json", result)


def create(runs: Path, name: str) -> RunFolder:
    """Make the folder with the next number; two runs that start at once get one each."""
    number = max(_numbers(runs, name), default=0) + 1
    while True:
        folder = runs / f"{name}-{number}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            number += 1
        else:
            return RunFolder(folder)


def to_resume(resume: str, runs: Path, config: FitConfig, chosen: Iterable[str]) -> RunFolder | None:
    """Return the run that *resume* means: the path of a run's folder or of its `last.ckpt`, or `auto`.

    `auto` is the newest run with this very *config* that is not finished; None if there is none. Of a path, the
    options that the user has *chosen* must be those of the run. Raises `InvalidRun`.
    """
    if resume == AUTO:
        return _newest_unfinished(runs, config)
    path = Path(resume)
    if not path.exists():
        raise InvalidRun(f"{path}: no such run")
    if path.is_file() and path.name != "last.ckpt":
        raise InvalidRun(f"{path}: a run goes on from its folder or its last.ckpt")
    folder = RunFolder(path.parent.parent if path.is_file() else path)
    theirs = folder.config()
    for name in chosen:
        ours, was = getattr(config, name), getattr(theirs, name)
        if ours != was:
            raise InvalidRun(f"{folder.path}: was started with --{name.replace('_', '-')} {was}, not {ours}")
    if folder.finished():
        raise InvalidRun(f"{folder.path}: is finished; export it, or start a new run")
    if not folder.last.is_file():
        raise InvalidRun(f"{folder.path}: ended before its first checkpoint; start a new run")
    return folder


def write_json(path: Path, content: object) -> None:
    """Write a JSON file, whole or not at all."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def write_text(path: Path, content: str) -> None:
    """Write a text file aside and rename it: it is there whole or not at all."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_text(content, encoding="utf-8")
    aside.replace(path)


def _newest_unfinished(runs: Path, config: FitConfig) -> RunFolder | None:
    name = folder_name(config)
    for number in sorted(_numbers(runs, name), reverse=True):
        folder = RunFolder(runs / f"{name}-{number}")
        if not folder.last.is_file() or folder.finished():
            continue
        try:
            same = folder.config() == config
        except InvalidRun:
            continue
        if same:
            return folder
    return None


def folder_name(config: FitConfig) -> str:
    """Return the name of a run's folder without its number."""
    return f"{config.net}-{dataset_name(config.dataset) or 'folder'}"


def _numbers(runs: Path, name: str) -> list[int]:
    if not runs.is_dir():
        return []
    ends = (path.name.removeprefix(f"{name}-") for path in runs.iterdir() if path.name.startswith(f"{name}-"))
    return [int(end) for end in ends if end.isdecimal()]
