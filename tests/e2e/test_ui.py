"""The pages in a real browser: what somebody with an image in hand sees."""

import hashlib
from collections.abc import Iterator
from urllib.parse import urlsplit

import numpy as np
import pytest
from playwright.sync_api import Browser, expect

from models.preprocess import DecodeLimits, preprocess
from tests.e2e.browser import Watched
from tests.e2e.server import ROOT, Server, serving
from tests.factories import encode, make_geometry, make_image, shipped_digit
from tests.stores import make_store

pytestmark = pytest.mark.e2e
SEVEN = ROOT / "docs" / "samples" / "7.png"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The model that ships."""
    with serving(tmp_path_factory.mktemp("ui")) as started:
        yield started


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Two versions behind keys and a path prefix."""
    folder = tmp_path_factory.mktemp("guarded")
    keys = folder / "keys"
    keys.write_text(f"ann classify {hashlib.sha256(b'open sesame').hexdigest()}\n")
    store = make_store(folder / "store", versions=2)
    (store / "deployment.json").write_text('{"models": {"lenet": {"active": 2, "extra": [{"version": 1}]}}}')
    with serving(folder, model_store=store, keys_file=keys, path_prefix="/vision") as started:
        yield started


def test_a_drop_gives_the_right_digit(browser: Browser, server: Server) -> None:
    """With bars of the best classes, the time of each stage, and nothing asked of any other host."""
    seen = Watched(browser, f"{server.url}/ui")
    data, class_id = shipped_digit(4)

    seen.hand_over("digit.png", data)

    answer = seen.page.locator(".answer")
    expect(answer.locator(".label")).to_have_text(str(class_id))
    expect(answer.locator(".bars li")).to_have_count(5)
    expect(answer.locator(".legend li")).to_have_count(4)
    expect(answer.locator(".legend")).to_contain_text("inference")
    expect(answer.locator("img.pixels")).to_be_visible()
    assert {urlsplit(url).netloc for url in seen.requests if not url.startswith("blob:")} == {
        urlsplit(server.url).netloc
    }
    assert seen.complaints == []


def test_the_pixels_are_those_that_the_network_saw(browser: Browser, server: Server) -> None:
    """Each of them, as models.preprocess makes them."""
    seen = Watched(browser, f"{server.url}/ui")
    seen.pick(SEVEN)
    expect(seen.page.locator("img.pixels")).to_be_visible()

    shown = seen.page.locator("img.pixels").evaluate(
        "(image) => { const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight);"
        " const context = canvas.getContext('2d'); context.drawImage(image, 0, 0);"
        " return [...context.getImageData(0, 0, canvas.width, canvas.height).data]; }"
    )

    pixels = np.array(shown, np.uint8).reshape(28, 28, 4)[..., 0]  # grey: red, green and blue are equal
    assert np.array_equal(
        pixels, preprocess(SEVEN.read_bytes(), make_geometry(interpolation="bicubic"), DecodeLimits())[..., 0]
    )
    expect(seen.page.locator("figcaption").last).to_contain_text("28 × 28")


def test_a_broken_file_gives_the_message(browser: Browser, server: Server) -> None:
    """In plain words, beside a good one that is classified."""
    seen = Watched(browser, f"{server.url}/ui")

    seen.hand_over("broken.png", shipped_digit(1)[0][:60])
    expect(seen.page.locator(".answer .fault")).to_contain_text("This image file is damaged or not complete.")
    seen.hand_over("notes.png", b"no image at all")
    expect(seen.page.locator(".answer .fault").first).to_contain_text("This is not an image that can be read.")
    seen.hand_over("digit.png", shipped_digit(1)[0], "paste")

    expect(seen.page.locator(".answer .label")).to_have_text(str(shipped_digit(1)[1]))
    expect(seen.page.locator(".answer")).to_have_count(3)


def test_it_abstains_in_plain_words(browser: Browser, server: Server) -> None:
    """When it is less sure than it was asked to be; the classes are still shown."""
    seen = Watched(browser, f"{server.url}/ui")
    expect(seen.page.locator("#abstaining")).to_be_visible()
    seen.page.locator("#threshold").fill("0.99")
    expect(seen.page.locator("#sure")).to_have_text("99%")

    seen.hand_over("noise.png", encode(make_image(64, 64)))

    expect(seen.page.locator(".answer .label")).to_have_text("Not sure enough to say")
    expect(seen.page.locator(".answer .sure")).to_contain_text("perhaps")
    expect(seen.page.locator(".answer .bars li")).to_have_count(5)
    assert seen.complaints == []


def test_it_works_by_keyboard(browser: Browser, server: Server) -> None:
    """Tab leads to the files, with a ring around them, and Enter opens the choice."""
    seen = Watched(browser, f"{server.url}/ui")
    seen.page.on("filechooser", lambda chooser: chooser.set_files(SEVEN))
    for _ in range(10):
        seen.page.keyboard.press("Tab")
        if seen.page.evaluate("document.activeElement.id") == "files":
            break

    assert seen.page.locator("#drop").evaluate("(drop) => getComputedStyle(drop).outlineStyle") == "solid"
    seen.page.keyboard.press("Enter")

    expect(seen.page.locator(".answer .label")).to_have_text("7")
    expect(seen.page.locator("#spoken")).to_have_text("7.png: 7")


@pytest.mark.parametrize("path", ["/ui", "/docs"])
def test_it_fits_a_phone_in_both_schemes(browser: Browser, server: Server, path: str) -> None:
    """Nothing to scroll sideways, and the dark one is dark."""
    papers = {}
    for scheme in ("light", "dark"):
        seen = Watched(
            browser, server.url + path, viewport={"width": 360, "height": 740}, color_scheme=scheme, has_touch=True
        )
        if path == "/ui":
            seen.pick(SEVEN)
            expect(seen.page.locator(".answer .label")).to_have_text("7")
        else:
            seen.page.locator("#post_v1_classify > summary").click()
        assert seen.page.evaluate("document.documentElement.scrollWidth") == 360
        colour = seen.page.evaluate("getComputedStyle(document.body).backgroundColor")
        papers[scheme] = sum(int(part) for part in colour.removeprefix("rgb(").removesuffix(")").split(","))

    assert papers["dark"] < 150
    assert papers["light"] > 600


def test_a_key_is_asked_for_and_a_version_chosen(browser: Browser, guarded: Server) -> None:
    """Behind a proxy's prefix; the key stays in the tab."""
    seen = Watched(browser, f"{guarded.url}/vision/ui")
    expect(seen.page.locator("#fault")).to_contain_text("This service asks for an API key.")

    seen.page.locator("#key").fill("open sesame")
    seen.page.locator("#key").press("Tab")
    expect(seen.page.locator("#version option")).to_have_count(3)
    expect(seen.page.locator("#fault")).to_be_hidden()
    seen.pick(SEVEN)
    expect(seen.page.locator(".answer .by")).to_contain_text("lenet version 2")
    seen.page.locator("#version").select_option("1")
    seen.pick(SEVEN)

    expect(seen.page.locator(".answer").first.locator(".label")).to_have_text("1")
    expect(seen.page.locator(".answer").first.locator(".by")).to_contain_text("lenet version 1")
    assert all(urlsplit(url).path.startswith("/vision/") for url in seen.requests if not url.startswith("blob:"))


def test_the_api_is_tried_on_its_page(browser: Browser, server: Server) -> None:
    """An image is posted from the page that describes how."""
    seen = Watched(browser, f"{server.url}/docs")
    operation = seen.page.locator("#post_v1_classify")
    operation.locator("summary").first.click()
    operation.locator("input[type=file]").set_input_files(SEVEN)
    operation.get_by_role("button", name="Send").click()

    expect(operation.locator(".status")).to_have_text("200 OK")
    expect(operation.locator(".answer pre").first).to_contain_text('"label": "7"')
    expect(operation.locator(".responses")).to_contain_text("queue_full")
    assert seen.complaints == []


def test_the_address_leads_to_the_page(browser: Browser, server: Server) -> None:
    """Who types only the host is not left with an error."""
    seen = Watched(browser, f"{server.url}/")

    assert seen.page.url == f"{server.url}/ui"
