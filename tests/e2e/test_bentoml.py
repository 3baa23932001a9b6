"""BentoML's own Python client against our server, with the input that its own endpoints answer with 500."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.server import ROOT, Server, serving
from tests.factories import encode, make_image, shipped_digit

pytestmark = pytest.mark.e2e
SEVEN = ROOT / "docs" / "samples" / "7.png"
GOOD = {"jpeg.jpg": encode(make_image(), "JPEG"), "a-png.jpg": encode(make_image())}
BAD = {
    "garbage.png": b"\x00garbage",
    "empty.png": b"",
    "text.jpg": b"not an image",
    "truncated.png": shipped_digit(1)[0][:60],
    "postscript.eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The model that ships."""
    with serving(tmp_path_factory.mktemp("bentoml")) as started:
        yield started


@pytest.fixture(scope="module")
def said(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What the client makes of everything."""
    folder = tmp_path_factory.mktemp("images")
    for name, content in {**GOOD, **BAD}.items():
        (folder / name).write_bytes(content)
    paths = [SEVEN, *sorted(folder.iterdir())]
    command = [sys.executable, "-m", "tests.e2e.bentoml_client", server.url, *map(str, paths)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=120)
    return json.loads(done.stdout)


def test_an_image_is_classified(said: Any) -> None:
    """By its path, as the docs say, by either client; what its name declares does not matter."""
    assert said["7.png"]["answer"]["predictions"][0]["label"] == "7"
    assert said["(async)"]["answer"]["predictions"][0]["label"] == "7"
    for name in GOOD:
        assert len(said[name]["answer"]["predictions"]) == 5


def test_several_images_are_classified_at_once(said: Any) -> None:
    """The bad ones do not fail their neighbours."""
    results = said["(several)"]["answer"]["results"]

    assert ["code" in result for result in results] == [name in BAD for name in ["7.png", *sorted({**GOOD, **BAD})]]


@pytest.mark.parametrize("name", BAD)
def test_bad_images_are_the_client_s_fault(said: Any, name: str) -> None:
    """4xx with the reason, where BentoML's own endpoints say 500, or 200 for PostScript and truncated files."""
    assert said[name]["status"] in {415, 422}
    assert re.search(r'"code":"(unidentified|truncated|media_type)"', said[name]["text"])


def test_an_address_is_not_fetched(said: Any) -> None:
    """BentoML's own endpoints would ask for it; here it is text that is no image."""
    assert said["(address)"]["status"] == 422


def test_the_lines_of_httpx_in_the_docs_work(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """As they stand there."""
    text = (ROOT / "docs" / "api.md").read_text()
    (snippet,) = re.findall(r"```python\n(import httpx.*?)```", text, re.DOTALL)
    monkeypatch.chdir(ROOT)
    found: dict[str, Any] = {}

    exec(snippet.replace("http://127.0.0.1:3000", server.url), found)

    assert found["label"] == "7"
