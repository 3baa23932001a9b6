"""benchmarks/verdicts.py."""

from typing import Any

import pytest

from benchmarks.verdicts import verdicts


def ratio(median: float) -> dict[str, float]:
    """A ratio as a report has it."""
    return {"median": median, "low": median - 0.1, "high": median + 0.1, "confidence": 0.94}


def report(*, vnni: bool = True) -> dict[str, Any]:
    """A report in which the limit of VGG16 and 512 connections of AlexNet fall short, and nothing else."""
    ratios = {
        "fp32 over HTTP ÷ limit": ratio(0.94),
        "int8 over HTTP ÷ limit": ratio(0.5),  # nothing is asked of it
        "int8 ÷ fp32 over HTTP": ratio(3.0),
    }
    shares = {"8": ratio(0.9), "32": ratio(1.0), "512": ratio(0.89)}
    return {
        "networks": {"vgg16": {"machine": {"avx512_vnni": vnni}, "ratios": ratios}},
        "sweeps": {"alexnet": {"share_of_best": shares, "in-memory": {"share_of_best": {"8": ratio(0.7)}}}},
    }


def test_what_is_short_is_named() -> None:
    """With the network and the figure; what just holds is not short."""
    short = [(one.network, one.what) for one in verdicts(report()) if one.short]

    assert short == [("vgg16", "fp32 over HTTP ÷ limit"), ("alexnet", "512 connections ÷ best")]


@pytest.mark.parametrize(("vnni", "asked"), [(True, 3.0), (False, None)])
def test_int8_must_gain_where_the_processor_has_its_instructions(vnni: bool, asked: float | None) -> None:
    """VNNI; elsewhere the figure is only shown."""
    (gain,) = [one for one in verdicts(report(vnni=vnni)) if one.what == "int8 ÷ fp32 over HTTP"]

    assert gain.least == asked
    assert ("holds" in str(gain)) is vnni


def test_what_is_not_ours_is_shown_beside_it() -> None:
    """What the limit has of its best with as many images in flight; nothing is asked of it."""
    (shown,) = [one for one in verdicts(report()) if "limit's" in one.what]

    assert (shown.network, shown.what, shown.least) == ("alexnet", "the limit's, with 8 ÷ its best", None)


def test_what_was_not_measured_has_no_verdict() -> None:
    """An empty report has none."""
    assert list(verdicts({})) == []
