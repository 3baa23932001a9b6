"""What is wrong with data is said by `fit`: in one line, with exit code 2 and before anything is written, or once."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from models.store import ModelStore
from tests.factories import encode, make_image
from tests.training.data.test_mnist import idx
from training.__main__ import app
from training.checkpoint import Blueprint
from training.fit import Run
from training.publish import Exported


def write(path: Path, content: bytes) -> None:
    """Make a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def write_classes(folder: Path, *labels: str) -> None:
    """Five small images of each class."""
    for label in labels:
        for seed in range(5):
            write(folder / label / f"{seed}.png", encode(make_image(8, 8, seed=seed)))


def missing_folder(_: Path) -> None:
    """Nothing is there."""


def one_class(folder: Path) -> None:
    """Every image is a cat."""
    write_classes(folder, "cat")


def empty_class(folder: Path) -> None:
    """There are cats, and a place for dogs."""
    write_classes(folder, "cat")
    (folder / "dog").mkdir()


def text_called_jpg(folder: Path) -> None:
    """One file is no image."""
    write_classes(folder, "cat", "dog")
    write(folder / "cat" / "a.jpg", b"1.png")


def truncated_idx(folder: Path) -> None:
    """The last images of a download are missing."""
    write(folder / "train-images-idx3-ubyte", idx(np.zeros((9, 28, 28)))[:-1000])
    write(folder / "train-labels-idx1-ubyte", idx(np.zeros(9)))


def colour_idx(folder: Path) -> None:
    """Images of three channels where there must be one."""
    write(folder / "train-images-idx3-ubyte", idx(np.zeros((9, 28, 28, 3))))
    write(folder / "train-labels-idx1-ubyte", idx(np.zeros(9)))


def one_class_idx(folder: Path) -> None:
    """Every image is a zero."""
    for split in ("train", "t10k"):
        write(folder / f"{split}-images-idx3-ubyte", idx(np.zeros((9, 28, 28))))
        write(folder / f"{split}-labels-idx1-ubyte", idx(np.zeros(9)))


def few_idx(folder: Path) -> None:
    """Four images, of two classes."""
    for split in ("train", "t10k"):
        write(folder / f"{split}-images-idx3-ubyte", idx(np.zeros((4, 28, 28))))
        write(folder / f"{split}-labels-idx1-ubyte", idx(np.array([0, 0, 1, 1])))


def grey_cifar(folder: Path) -> None:
    """Images of one channel where there must be three."""
    for name in (*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"):
        write(folder / name, bytes(1 + 1024))


def good(folder: Path) -> None:
    """Nothing is wrong with these."""
    write_classes(folder, "cat", "dog")


@pytest.mark.parametrize(
    ("make", "kind", "options", "message"),
    [
        (missing_folder, "folder", [], "{0}: no such folder"),
        (one_class, "folder", [], "{0}: only the subfolder 'cat'; at least 2 are needed, each named after its class"),
        (empty_class, "folder", [], "{0}/dog: 0 usable images; a class needs at least 2"),
        (
            text_called_jpg,
            "folder",
            ["--strict"],
            "{0}/cat/a.jpg: not an image: 5 bytes that start as no known image format (1 of 11 images cannot be used)",
        ),
        (
            truncated_idx,
            "mnist",
            [],
            "{0}/train-images-idx3-ubyte: truncated: its header says 7,056 bytes, there are 6,056",
        ),
        (
            colour_idx,
            "mnist",
            [],
            "{0}/train-images-idx3-ubyte: 4 dimensions; grey images of one channel have 3",
        ),
        (
            grey_cifar,
            "cifar10",
            [],
            "{0}/data_batch_1.bin: truncated, or not 3 channels of 32×32: 1,025 bytes are no multiple of 3,073",
        ),
        (one_class_idx, "mnist", [], "{0}: one class; there must be two at least"),
        (few_idx, "mnist", [], "{0}: 4 images are too few to hold out 10% of each of 2 classes"),
        (
            good,
            "folder",
            ["--net", "vgg11", "--size", "20"],
            "vgg11 needs images of at least 32 pixels a side, not 20×20",
        ),
        (
            good,
            "folder",
            ["--net", "nin", "--batch-norm"],
            "nin has no option batch_norm; it has: init, width",
        ),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    make: object, kind: str, options: list[str], message: str, tmp_path: Path
) -> None:
    """The line names the thing and the limit."""
    folder = tmp_path / "photos"
    assert callable(make)
    make(folder)
    places = ["--runs", str(tmp_path / "runs"), "--store", str(tmp_path / "store")]

    result = CliRunner().invoke(app, ["fit", "--dataset", f"{kind}:{folder}", *options, *places])

    assert (result.exit_code, result.stderr) == (2, f"error: {message.format(folder)}\n")
    assert result.stdout == ""
    assert {path.name for path in tmp_path.iterdir()} <= {"photos"}


def test_what_is_left_out_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Training, calibration and export look at the same images."""
    text_called_jpg(tmp_path / "photos")
    places = ["--runs", str(tmp_path / "runs"), "--store", str(tmp_path / "store")]

    result = CliRunner().invoke(app, ["fit", "--dataset", f"folder:{tmp_path / 'photos'}", "--epochs", "1", *places])

    assert result.exit_code == 0, result.output
    said = [record.getMessage() for record in caplog.records if record.name == "training.data.folder"]
    assert said == [
        f"left out: {tmp_path}/photos/cat/a.jpg: not an image: 5 bytes that start as no known image format",
        "left out: 1 of 11 images",
    ]


def test_a_run_does_not_go_on_from_a_foreign_checkpoint(run: Run, tmp_path: Path) -> None:
    """Another network's, or a damaged one: one line, and the run's folder is as it was."""
    folder = tmp_path / "runs" / "mnist_cnn-digits-1"
    config = json.loads((run.folder / "config.json").read_text())
    config["config"]["net"] = "mnist_cnn"
    write(folder / "config.json", json.dumps(config).encode())
    write(folder / "checkpoints" / "last.ckpt", run.last.read_bytes())

    foreign = CliRunner().invoke(app, ["fit", "--resume", str(folder)])
    write(folder / "checkpoints" / "last.ckpt", run.last.read_bytes()[:5000])
    damaged = CliRunner().invoke(app, ["fit", "--resume", str(folder)])

    path = folder / "checkpoints" / "last.ckpt"
    assert (foreign.exit_code, foreign.stderr) == (2, f"error: {path}: is a lenet, and the run trains a mnist_cnn\n")
    assert (damaged.exit_code, damaged.stderr) == (2, f"error: {path}: not a readable checkpoint\n")
    assert {one.name for one in folder.iterdir()} == {"config.json", "checkpoints"}


def test_a_model_is_not_verified_by_another_networks_checkpoint(
    run: Run, store: ModelStore, exported: Exported, tmp_path: Path
) -> None:
    """Before anything is compared."""
    assert exported.quality is not None
    content = torch.load(run.best, weights_only=True)
    content["hyper_parameters"]["net"] = "mnist_cnn"
    fresh = Blueprint.model_validate(content["hyper_parameters"]).network().state_dict()
    content["state_dict"] = {f"network.{key}": value for key, value in fresh.items()}
    torch.save(content, tmp_path / "other.ckpt")

    result = CliRunner().invoke(
        app, ["verify", "lenet", "--store", str(store.root), "--checkpoint", str(tmp_path / "other.ckpt")]
    )

    said = f"error: {tmp_path}/other.ckpt: is a mnist_cnn, and lenet version 1 a lenet\n"
    assert (result.exit_code, result.stderr) == (2, said)
