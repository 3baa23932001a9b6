"""service/parameters.py: what a query may say."""

import pytest

from service import parameters
from service.errors import BadParameter
from service.openapi.v1 import VERSION


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("0", 0.0), ("1", 1.0), ("0.5", 0.5), (".5", 0.5), ("1.", 1.0), ("5e-1", 0.5), ("1E0", 1.0), ("0.1e1", 1.0)),
        ("1.736115511776209e-71", 1.736115511776209e-71),
        ("2.2250738585072014e-308", 2.2250738585072014e-308),
    ],
)
def test_a_share_may_be_written_as_any_number_is(text: str, value: float) -> None:
    """As a client's own library writes what lies from 0 to 1."""
    assert parameters.share("threshold", text) == value


@pytest.mark.parametrize(
    "text",
    [
        *("", ".", "2", "-0.1", "1e1", "1e999", "1.0000001", "nan", "inf", "0x1", "1_0", " 1", "1\n", "٠"),
        "0." + "0" * 40,
    ],
)
def test_what_is_no_share_is_refused_by_name(text: str) -> None:
    """And nothing else that Python would take for a number."""
    with pytest.raises(BadParameter, match="threshold: must be a number from 0 to 1"):
        parameters.share("threshold", text)


def test_a_version_goes_as_far_as_the_document_says() -> None:
    """And not one further."""
    most = VERSION.schema["maximum"]

    assert parameters.version({"version": str(most)}) == most
    assert parameters.version({}) is None
    with pytest.raises(BadParameter, match=f"version: must be a whole number from 1 to {most}"):
        parameters.version({"version": str(most + 1)})
