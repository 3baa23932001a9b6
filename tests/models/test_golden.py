"""models/golden.py."""

import numpy as np
import pytest

from models.errors import InvalidModelFile
from models.golden import Golden


def make_golden(count: int = 3) -> Golden:
    """Golden images that are not images: this module does not look inside."""
    logits = np.random.default_rng(0).normal(size=(count, 10)).astype(np.float32)
    files = tuple(bytes([i]) * (i + 1) for i in range(count))
    return Golden(files, logits.argmax(axis=1), {"fp32": logits, "int8": logits + 0.5})


def test_golden_images_survive_the_file() -> None:
    """Files of any length come back byte for byte, logits value for value."""
    golden = make_golden()

    read = Golden.from_bytes(golden.to_bytes(), "x")

    assert read.files == golden.files
    assert (read.class_ids == golden.class_ids).all()
    assert set(read.logits) == {"fp32", "int8"}
    assert (read.logits["int8"] == golden.logits["int8"]).all()


@pytest.mark.parametrize("data", [b"", b"garbage", b"PK\x03\x04garbage"])
def test_damaged_files_are_refused(data: bytes) -> None:
    """With the file's name in one line."""
    with pytest.raises(InvalidModelFile, match=r"some/golden.npz: not a readable golden file"):
        Golden.from_bytes(data, "some/golden.npz")


def test_files_that_contradict_themselves_are_refused() -> None:
    """Three images with two answers prove nothing."""
    golden = make_golden()
    short = Golden(golden.files, golden.class_ids[:2], golden.logits)

    with pytest.raises(InvalidModelFile, match="disagree"):
        Golden.from_bytes(short.to_bytes(), "x")


def test_the_same_logits_match() -> None:
    """Rounding on another machine is no mismatch."""
    golden = make_golden()

    assert golden.mismatch("fp32", golden.logits["fp32"] + np.float32(1e-4)) is None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda logits: logits[:2], "logits of shape"),
        (lambda logits: np.full_like(logits, np.nan), "not finite"),
        (lambda logits: -logits, "golden image 0 gives class"),
        (lambda logits: logits * np.float32(1.1), "golden logits differ by"),
    ],
)
def test_other_logits_do_not(change: object, says: str) -> None:
    """Shape, finiteness, labels and values are looked at, in this order."""
    golden = make_golden()

    fault = golden.mismatch("fp32", change(golden.logits["fp32"]))  # type: ignore[operator]

    assert fault is not None
    assert says in fault


def test_a_precision_without_golden_logits_is_not_proved() -> None:
    """Nothing to compare with is a fault, not a pass."""
    assert make_golden().mismatch("fp16", np.zeros((3, 10), np.float32)) == "no golden logits for precision fp16"
