"""models/spec.py."""

import json

import pytest

from models.errors import InvalidSpec
from models.spec import ModelSpec
from tests.factories import make_geometry, make_spec


def test_a_spec_survives_json() -> None:
    """What is written into a model file is what is read from it."""
    spec = make_spec()

    assert ModelSpec.from_json(spec.model_dump_json(), "x") == spec


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"name": "LeNet"}, "name: "),
        ({"name": "lenet-image"}, "reserved"),
        ({"version": 0}, "version: "),
        ({"labels": ("a",)}, "labels: "),
        ({"labels": ("a", "a")}, "labels are not unique"),
        ({"spec_version": 2}, "spec_version: "),
        ({"unheard_of": 1}, "unheard_of: "),
        ({"normalisation": {"scale": 1, "mean": (0, 0, 0), "std": (1,)}}, "mean has 3 values for 1 channels"),
        ({"normalisation": {"scale": 1, "mean": (0,), "std": (0,)}}, "std"),
        ({"profile": {"classes": (1.0,), "confidence": (0.1,) * 10}}, "profile has 1 classes for 10 labels"),
    ],
)
def test_a_spec_that_contradicts_itself_is_refused(changes: dict[str, object], fault: str) -> None:
    """One line names the file and the first fault."""
    text = json.dumps({**json.loads(make_spec().model_dump_json()), **changes})

    with pytest.raises(InvalidSpec) as refused:
        ModelSpec.from_json(text, "some/model.onnx")

    assert str(refused.value).startswith("some/model.onnx: invalid spec: ")
    assert fault in str(refused.value)
    assert "\n" not in str(refused.value)


def test_text_that_is_no_json_is_refused() -> None:
    """A damaged spec is an invalid one."""
    with pytest.raises(InvalidSpec, match="some/file: invalid spec: Invalid JSON"):
        ModelSpec.from_json("{", "some/file")


@pytest.mark.parametrize(
    "changes",
    [
        {"resize": "shorter_side"},
        {"resize_px": 32},
        {"resize": "shorter_side", "resize_px": 27},
        {"background": (0, 0, 256)},
        {"mode": "CMYK"},
        {"height": 0},
    ],
)
def test_impossible_geometry_is_refused(changes: dict[str, object]) -> None:
    """The resize rule, its size, the background and the mode must fit together."""
    with pytest.raises(ValueError, match="validation error"):
        make_geometry(**changes)


def test_a_spec_cannot_be_changed() -> None:
    """It is a value: shared between threads without copies."""
    with pytest.raises(ValueError, match="frozen"):
        make_spec().name = "other"  # type: ignore[misc]
