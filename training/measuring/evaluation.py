"""An evaluation: a subject answers the whole test split of a data set; figures as JSON, and pictures, into a folder."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from training import data
from training.errors import InvalidData, InvalidOption, UnknownName
from training.fitting import epoch_log
from training.fitting.folder import write_json
from training.measuring import plots, sheet
from training.measuring.scores import Scores, score
from training.measuring.subject import Subject


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The figures, and the files that were written."""

    scores: Scores
    folder: Path
    pictures: tuple[Path, ...]


def labelled(subject: Subject, source: str | None) -> data.Dataset:
    """Return the data set that *source* names, by default the one that the subject was trained on.

    Raises `InvalidOption` if that is not known, `InvalidData` if its classes are not those of the subject.
    """
    if source is None and subject.dataset is None:
        raise InvalidOption(f"{subject.name}: what it was trained on is not known; name a data set with --dataset")
    try:
        dataset = data.load(source or str(subject.dataset))
    except (UnknownName, InvalidOption, InvalidData) as error:
        if source is not None:
            raise
        raise InvalidOption(
            f"{subject.name} was trained on {subject.dataset!r}, which is not here; name it with --dataset ({error})"
        ) from error
    require_labels(subject.name, subject.labels, dataset)
    return dataset


def require_labels(name: str, labels: Sequence[str], dataset: data.Dataset) -> None:
    """Raise `InvalidData` unless *labels* are those of the data set, in the same order."""
    if len(labels) != len(dataset.labels):
        raise InvalidData(f"{name} knows {len(labels)} classes, {dataset.name} has {len(dataset.labels)}")
    for class_id, (ours, theirs) in enumerate(zip(labels, dataset.labels, strict=True)):
        if ours != theirs:
            raise InvalidData(f"{name}: class {class_id} is {ours!r}, in {dataset.name} it is {theirs!r}")


def evaluate(subject: Subject, source: str | None, folder: Path, crops: int = 1) -> Evaluation:
    """Measure a subject on the test split; writes `evaluation.json` and pictures into *folder*."""
    dataset = labelled(subject, source)
    files, class_ids = dataset.test.files, dataset.test.class_ids
    probabilities = subject.probabilities(files)
    scores = score(probabilities, class_ids, subject.labels)
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{subject.name}, {dataset.name} test"
    answered = sheet.Answered(files, class_ids, probabilities, subject.labels, subject.geometry)
    pictures = [
        plots.confusion(scores, folder / "confusion.png", name),
        plots.reliability(scores, folder / "reliability.png", name),
        sheet.mistakes(answered, folder / "mistakes.png", name),
    ]
    if subject.run is not None and subject.run.metrics.is_file():
        epochs = epoch_log.read(subject.run.metrics)
        if epochs:
            pictures.append(plots.curves(epochs, folder / "curves.png", subject.run.path.name))
    content = {
        "subject": {"kind": subject.kind, "name": subject.name},
        "dataset": dataset.name,
        "split": "test",
        "crops": crops,
        **scores.model_dump(mode="json"),
    }
    write_json(folder / "evaluation.json", content)
    return Evaluation(scores, folder, tuple(pictures))
