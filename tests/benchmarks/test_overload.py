"""benchmarks/overload: what its command line asks for."""

from benchmarks.overload.__main__ import KINDS, parsed


def test_without_kinds_all_are_measured() -> None:
    """As the make target calls it."""
    assert parsed([]).kinds == parsed(["slow", "all"]).kinds == list(KINDS)
    assert parsed(["slow", "names", "--rounds", "2"]).kinds == ["slow", "names"]
