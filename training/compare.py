"""Several runs side by side: accuracy on the test split, size, work, training time, latency; Markdown, JSON, a chart.

All are measured here and now by the same code; nothing is taken from what the runs said about themselves but the time
that they took.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from training import checkpoint, data, evaluate, export
from training.errors import InvalidData, InvalidRun
from training.fitting import epoch_log
from training.fitting.folder import RunFolder, write_json, write_text
from training.measuring import charts
from training.measuring.evaluation import labelled, require_labels
from training.measuring.latency import Latency, measure
from training.measuring.scores import score
from training.measuring.subject import of_checkpoint
from training.quiet import quiet
from training.summary import summarise

BATCHES = (1, 32)


@dataclass(frozen=True, slots=True)
class Row:
    """One run: its figures on the test split, what its network costs, how long it was trained."""

    run: str
    net: str
    dataset: str
    images: int
    top1: float
    ece: float
    parameters: int
    multiply_adds: int
    epochs: int
    training_s: float
    latencies: tuple[Latency, ...]


def compare(paths: Sequence[Path], folder: Path) -> list[Row]:
    """Measure runs and write `compare.md`, `compare.json` and `compare.png` into *folder*; the best comes first.

    Raises `InvalidRun`, `InvalidCheckpoint`, or `InvalidData` for runs on different data sets: their accuracies say
    nothing about each other.
    """
    runs = [_run(path) for path in paths]
    datasets = {data.resolve(run.config().dataset) for run in runs}
    if len(datasets) > 1:
        raise InvalidData(f"runs on different data sets cannot be compared: {', '.join(sorted(datasets))}")
    dataset = labelled(of_checkpoint(runs[0].path), None)  # once: what is left out of it need not be said of each run
    rows = sorted((_row(run, dataset) for run in runs), key=lambda row: (-row.top1, row.parameters))
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "compare.json", [asdict(row) for row in rows])
    charts.comparison(rows, folder / "compare.png")
    write_text(folder / "compare.md", markdown(rows))
    return rows


def markdown(rows: Sequence[Row]) -> str:
    """Return the table, with the chart under it."""
    lines = [
        "| run | net | test top-1 | calibration error | parameters | multiply-adds | epochs | training | "
        + " | ".join(f"batch of {batch}" for batch in BATCHES)
        + " |",
        "|---|---|" + "---:|" * (6 + len(BATCHES)),
    ]
    for row in rows:
        latencies = " | ".join(f"{latency.median_ms:.2f} ms" for latency in row.latencies)
        lines.append(
            f"| {row.run} | {row.net} | {row.top1:.2%} | {row.ece:.4f} | {row.parameters:,} | {row.multiply_adds:,} "
            f"| {row.epochs} | {row.training_s:.1f} s | {latencies} |"
        )
    note = f"{rows[0].images} test images of {rows[0].dataset}; latency: the median of a batch, ONNX Runtime on a CPU."
    return "\n".join([*lines, "", note, "", "![chart](compare.png)", ""])


def _run(path: Path) -> RunFolder:
    """Return the run that *path* is the folder of, or a checkpoint in."""
    if not path.exists():
        raise InvalidRun(f"{path}: no such run")
    return RunFolder(path if path.is_dir() else path.parent.parent)


def _row(run: RunFolder, dataset: data.Dataset) -> Row:
    blueprint, network = checkpoint.load(run.best)
    subject = of_checkpoint(run.path)
    require_labels(subject.name, subject.labels, dataset)
    scores = score(subject.probabilities(dataset.test.files), dataset.test.class_ids, subject.labels)
    geometry = blueprint.geometry
    layers = summarise(
        blueprint.net, len(blueprint.labels), geometry.channels, (geometry.height, geometry.width), blueprint.options
    )
    epochs = epoch_log.read(run.metrics)
    with quiet():
        predict = evaluate.of_model_file(export.to_onnx(network, geometry).SerializeToString())
    return Row(
        run=run.path.name,
        net=blueprint.net,
        dataset=dataset.name,
        images=scores.images,
        top1=scores.top1,
        ece=scores.ece,
        parameters=sum(value.numel() for value in network.parameters()),
        multiply_adds=sum(layer.multiply_adds for layer in layers),
        epochs=len(epochs),
        training_s=sum(epoch.seconds for epoch in epochs),
        latencies=tuple(measure(predict, geometry, batch) for batch in BATCHES),
    )
