"""Each of the 54 cases has a test that bears its number."""

import re
from pathlib import Path

CASES = 54


def test_every_case_is_there() -> None:
    """By name, so that none is lost when tests are moved or renamed."""
    sources = [path.read_text() for path in sorted(Path(__file__).parent.glob("test_*.py"))]
    numbers = {int(number) for source in sources for number in re.findall(r"^def test_f(\d\d)_", source, re.MULTILINE)}

    assert numbers == set(range(1, CASES + 1))
