"""Documentation that must not drift from the code."""

import json
import re
from pathlib import Path

from benchmarks.bench import END, START, readme_block
from service.errors import STATUS
from service.settings import PREFIX, Settings
from service.worker import Worker
from training.recipes import RECIPES

DOCS = Path(__file__).resolve().parent.parent / "docs"


def test_every_setting_is_documented() -> None:
    """In the words that the code has."""
    text = (DOCS / "configuration.md").read_text()
    rows = dict(re.findall(rf"^\| `{PREFIX}(\w+)` \| (.*) \|$", text, re.MULTILINE))

    assert list(rows) == [name.upper() for name in Settings.model_fields]
    for name, field in Settings.model_fields.items():
        assert field.description is not None
        assert " ".join(field.description.split()) in rows[name.upper()], name


def test_every_error_code_is_documented() -> None:
    """Beside the status that it has."""
    text = (DOCS / "api.md").read_text()

    for code, status in STATUS.items():
        assert re.search(rf"^\| {status} \|.*`{code}`", text, re.MULTILINE), code


def test_every_route_is_documented() -> None:
    """By its method and template; those of the Open Inference Protocol in a table of their own."""
    text = (DOCS / "api.md").read_text()

    for route in Worker(Settings()).routes:
        for method in route.handlers if not route.template.startswith("/v2") else ():
            assert f"{method} {route.template}" in text, f"{method} {route.template}"


def test_every_recipe_is_documented() -> None:
    """Size, width, epochs and learning rate of each net."""
    text = (DOCS / "training.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| [\d,]+ \|.*\| (\d+) \| ([\d.]+) \| (\d+) \| ([\d.]+) \|$", text, re.MULTILINE)

    assert {net: tuple(map(float, values)) for net, *values in rows} == {
        net: (recipe.min_px, recipe.width, recipe.epochs, recipe.learning_rate) for net, recipe in RECIPES.items()
    }


def test_the_readme_has_the_speed_that_was_measured() -> None:
    """As the last report of `make bench` that was kept has it."""
    _, _, rest = (DOCS.parent / "README.md").read_text().partition(START)

    assert rest.partition(END)[0] == readme_block(json.loads((DOCS / "reports" / "bench.json").read_text()))
