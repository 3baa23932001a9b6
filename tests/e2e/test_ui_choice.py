"""The page in a real browser: which model and version it asks, and what the browser keeps it from."""

import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.browser import Watched
from tests.e2e.server import ROOT, Server, serving
from tests.stores import make_store

pytestmark = pytest.mark.e2e
SEVEN = ROOT / "docs" / "samples" / "7.png"
DEPLOYMENT = """{"default": "lenet", "models": {
    "lenet": {"active": 2, "extra": [{"version": 1}]},
    "nin": {"active": 4, "extra": [{"version": 3}, {"version": 1}]}
}}"""
VIOLATION = """([attempt, elsewhere]) => new Promise((resolve) => {
    document.addEventListener("securitypolicyviolation", (event) => resolve(event.effectiveDirective), { once: true });
    const made = {
        script: () => Object.assign(document.createElement("script"), { textContent: "document.title = 'taken'" }),
        style: () => Object.assign(document.createElement("style"), { textContent: "body { display: none }" }),
        image: () => Object.assign(document.createElement("img"), { src: elsewhere }),
    }[attempt];
    if (made) document.body.append(made());
    else fetch(elsewhere).catch(() => undefined);
})"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Two models with several versions each, whose favourite class is their number."""
    folder: Path = tmp_path_factory.mktemp("choice")
    make_store(folder / "store", 2)
    make_store(folder / "store", 4, "nin")
    (folder / "store" / "deployment.json").write_text(DEPLOYMENT)
    with serving(folder, model_store=folder / "store") as started:
        yield started


def test_a_model_and_its_version_are_chosen(browser: Browser, server: Server) -> None:
    """The versions offered are the chosen model's; both are asked for, shown, and used for the pixels too."""
    seen = Watched(browser, f"{server.url}/ui")
    model, version, newest = (seen.page.locator(name) for name in ("#model", "#version", ".answer >> nth=0"))
    expect(model.locator("option")).to_have_text(["lenet", "nin"])
    expect(version.locator("option")).to_have_text(["active (2)", "1", "2, active"])

    for chosen, number, label in (("nin", "", "4"), ("nin", "3", "3"), ("lenet", "", "2"), ("lenet", "1", "1")):
        before = seen.page.locator(".answer").count()
        model.select_option(chosen)
        version.select_option(number)
        seen.pick(SEVEN)
        expect(seen.page.locator(".answer")).to_have_count(before + 1)
        expect(newest.locator(".label")).to_have_text(label)
        expect(newest.locator(".by")).to_contain_text(f"{chosen} version {label}")
        expect(newest.locator("img.pixels")).to_be_visible()

        asked = [urlsplit(url) for url in seen.requests]
        classified = parse_qs(next(url.query for url in reversed(asked) if url.path == "/v1/classify"))
        looked_at = parse_qs(next(url.query for url in reversed(asked) if url.path == "/v1/preprocess"))
        assert (classified["model"], classified.get("version", [""])) == ([chosen], [number])
        assert (looked_at["model"], looked_at["version"]) == ([chosen], [label])
    assert seen.complaints == []


def test_another_model_has_its_own_versions(browser: Browser, server: Server) -> None:
    """What was chosen for one is not asked of the other."""
    seen = Watched(browser, f"{server.url}/ui")
    seen.page.locator("#version").select_option("1")

    seen.page.locator("#model").select_option("nin")

    expect(seen.page.locator("#version option")).to_have_text(["active (4)", "1", "3", "4, active"])
    expect(seen.page.locator("#version")).to_have_value("")


@pytest.mark.parametrize("page", ["/ui", "/docs"])
@pytest.mark.parametrize(
    ("attempt", "directive"),
    [
        ("script", "script-src-elem"),
        ("style", "style-src-elem"),
        ("image", "img-src"),
        ("fetch", "connect-src"),
    ],
)
def test_the_browser_enforces_the_policy(
    browser: Browser, server: Server, page: str, attempt: str, directive: str
) -> None:
    """Whatever found its way into the page: no code or style of its own, and no word to another host."""
    seen = Watched(browser, server.url + page)
    title = seen.page.title()
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]

        assert seen.page.evaluate(VIOLATION, [attempt, f"http://127.0.0.1:{port}/"]) == directive

        assert seen.page.title() == title
        expect(seen.page.locator("body")).to_be_visible()
        other.setblocking(False)
        with pytest.raises(BlockingIOError):  # nobody has called
            other.accept()
