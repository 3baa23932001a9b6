"""Takes the README's picture of the page: `make screenshot`."""

import tempfile
from pathlib import Path

from tests.e2e.browser import Watched, browsing
from tests.e2e.server import ROOT, serving
from tests.factories import shipped_digit

PICTURE = ROOT / "docs" / "samples" / "ui.png"
_DIGITS = (1, 9)  # of the golden images


def main() -> None:
    """Serve the model that ships, let it look at digits, and save what the page shows."""
    with tempfile.TemporaryDirectory() as name, serving(Path(name)) as server, browsing() as browser:
        warm = Watched(browser, f"{server.url}/ui")  # the first request of a browser takes longer than those after it
        warm.pick(ROOT / "docs" / "samples" / "7.png")
        warm.page.locator("img.pixels").wait_for()
        seen = Watched(browser, f"{server.url}/ui", viewport={"width": 1180, "height": 900}, color_scheme="light")
        for index in _DIGITS:
            seen.hand_over(f"digit-{index}.png", shipped_digit(index)[0])
            seen.page.locator("img.pixels").nth(_DIGITS.index(index)).wait_for()
        seen.pick(ROOT / "docs" / "samples" / "7.png")
        seen.page.locator("img.pixels").nth(len(_DIGITS)).wait_for()
        seen.page.wait_for_timeout(700)  # the bars have grown
        seen.page.screenshot(path=PICTURE)


if __name__ == "__main__":
    main()
