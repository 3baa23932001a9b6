"""service/cli/results.py: files that are gone on with."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from service.cli.results import Results, UnusableResults

MODEL = {"name": "lenet", "version": 1, "precision": "fp32"}
ODD = 'a "quoted", name\nof two lines \udcff.png'


def answer(label: str = "7") -> dict[str, Any]:
    """What the service says of one image."""
    return {"model": MODEL, "predictions": [{"label": label, "class_id": int(label), "probability": 0.5}]}


REFUSED = {"error": 'a "bad", one', "code": "truncated"}


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_every_cut_is_gone_on_with(tmp_path: Path, suffix: str) -> None:
    """Wherever a run was killed: what is whole stays, the rest is written anew, and the end is the same."""
    names = ["a.png", ODD, "c.png"]
    path = tmp_path / f"results{suffix}"
    with Results(path, 1) as results:
        results.add(names[0], answer())
        results.add(names[1], REFUSED)
        results.add(names[2], answer("3"))
    whole = path.read_bytes()

    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        with Results(path, 1) as results:
            for name, said in zip(names, (answer(), REFUSED, answer("3")), strict=True):
                if name not in results.done:
                    results.add(name, said)
        assert path.read_bytes() == whole, cut


def test_rows_are_csv(tmp_path: Path) -> None:
    """With a column for each wanted class."""
    path = tmp_path / "results.csv"
    with Results(path, 2) as results:
        results.add("a.png", answer())
        results.add("b.png", REFUSED)

    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))

    assert [row["file"] for row in rows] == ["a.png", "b.png"]
    assert (rows[0]["model"], rows[0]["version"], rows[0]["label_1"], rows[0]["label_2"]) == ("lenet", "1", "7", "")
    assert (rows[1]["error"], rows[1]["code"], rows[1]["label_1"]) == ('a "bad", one', "truncated", "")


def test_lines_are_json(tmp_path: Path) -> None:
    """As the service said it."""
    path = tmp_path / "results.jsonl"
    with Results(path, 1) as results:
        results.add("ä.png", answer())

    assert json.loads(path.read_text()) == {"file": "ä.png", **answer()}


def test_a_file_that_is_something_else_is_left_alone(tmp_path: Path) -> None:
    """As is one that another run writes, or that has other columns."""
    path = tmp_path / "results.jsonl"
    path.write_text("hello\n")
    with pytest.raises(UnusableResults, match=r"results.jsonl: line 1 is none of ours"), Results(path, 1):
        pass
    assert path.read_text() == "hello\n"

    table = tmp_path / "results.csv"
    with Results(table, 1), pytest.raises(UnusableResults, match="another run is writing it"), Results(table, 1):
        pass
    with pytest.raises(UnusableResults, match="other columns; use the same --top-k"), Results(table, 2):
        pass
    with pytest.raises(UnusableResults, match="No such file or directory"), Results(tmp_path / "no" / "f.csv", 1):
        pass
