"""`python -m training import` as a whole: what it prints, leaves behind and returns."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from models.store import ModelStore
from tests.factories import encode, make_image
from tests.training.importing.foreign import LABELS, make_foreign
from training.__main__ import app


def run(folder: Path, *arguments: str | Path, preset: str = "imagenet-mean-std") -> Result:
    """Import `x.onnx` of *folder* with `labels.txt` beside it."""
    labels = folder / "labels.txt"
    if not labels.exists():
        labels.write_text("\n".join(LABELS) + "\n")
    words = [
        "import",
        folder / "x.onnx",
        "--labels",
        labels,
        "--preset",
        preset,
        "--store",
        folder / "store",
        *arguments,
    ]
    return CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "200"})


def test_a_file_becomes_a_version(tmp_path: Path) -> None:
    """Under the name of the file, compared on a folder of images; that nothing was measured is said."""
    make_foreign(tmp_path / "x.onnx")
    (tmp_path / "images").mkdir()
    for number in range(3):
        (tmp_path / "images" / f"{number}.png").write_bytes(encode(make_image(40, 30, "RGB", number)))

    result = run(tmp_path, "--samples", tmp_path / "images", "--resize", "28")

    assert result.exit_code == 0, result.output
    assert ModelStore(tmp_path / "store").versions("x") == [1]
    for text in (
        "gives logits, NCHW float32",
        "compared on",
        "3 images",
        "not measured",
        "refused: no labelled images",
    ):
        assert text in result.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--size", "32"], "--size asks for a height of 32, but the file takes 24"),
        (["--size", "big"], "size 'big' is neither a side, such as 224, nor HEIGHTxWIDTH"),
        (["--resize", "10"], "geometry: Value error, resize_px 10 is smaller than the crop 24×24"),
        (["--mean", "a,b"], "'a,b' is no list of numbers such as 0.5,0.5,0.5"),
        (["--samples", "nowhere"], "nowhere: no such folder"),
        (["--data", "folder:nowhere"], "nowhere: no such folder"),
        (["--output", "x"], "no output 'x'; there are: output"),
    ],
)
def test_faults_of_the_user_are_one_line(
    tmp_path: Path, arguments: list[str], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 2, and nothing is written."""
    monkeypatch.chdir(tmp_path)
    make_foreign(tmp_path / "x.onnx")

    result = run(tmp_path, *arguments)

    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert says in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("one", "1 labels; at least 2 are needed"),
        ("a\n\nb\n", "line 2 is empty"),
        ("a\nb\na\n", "the label 'a' stands there twice"),
        ("a\nb\n", "2 labels for 3 classes"),
        ("\xff", "not a text file in UTF-8"),
    ],
)
def test_labels_that_cannot_be_meant_are_refused(tmp_path: Path, text: str, says: str) -> None:
    """One a line, each once, as many as there are classes."""
    make_foreign(tmp_path / "x.onnx")
    (tmp_path / "labels.txt").write_bytes(text.encode("latin-1"))

    result = run(tmp_path)

    assert result.exit_code == 2
    assert says in result.stderr


def test_samples_that_are_no_images_are_named(tmp_path: Path) -> None:
    """The file, and what is wrong with it."""
    make_foreign(tmp_path / "x.onnx")
    for name in ("a.png", "b.jpg"):
        (tmp_path / name).write_text("no picture")

    result = run(tmp_path, "--samples", tmp_path)

    assert result.exit_code == 2
    assert f"error: {tmp_path / 'a.png'}: " in result.stderr
