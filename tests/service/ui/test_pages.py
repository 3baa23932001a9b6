"""service/ui: pages that load nothing from elsewhere and run nothing inline."""

import re
from pathlib import Path

import pytest

import service.ui.pages
from service.settings import Settings
from service.worker import Worker
from tests.asgi import request

STATIC = Path(service.ui.pages.__file__).parent / "static"


@pytest.fixture(scope="module")
def worker() -> Worker:
    """The routes; nothing is started."""
    return Worker(Settings())


@pytest.mark.parametrize("page", ["/ui", "/docs"])
async def test_a_page_may_load_from_here_alone(worker: Worker, page: str) -> None:
    """By its content security policy."""
    answer = await request(worker.guard, "GET", page)

    policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert "unsafe" not in answer.headers["content-security-policy"]


@pytest.mark.parametrize("path", sorted(STATIC.iterdir()), ids=lambda path: path.name)
def test_no_file_names_another_host_or_holds_inline_code(path: Path) -> None:
    """Namespaces of SVG are names, not addresses."""
    text = path.read_text().replace("http://www.w3.org/2000/svg", "")

    assert re.findall(r"(?:https?:)?//[a-z0-9.-]+\.[a-z]+", text) == []
    if path.suffix == ".html":
        assert re.findall(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=", text) == []


@pytest.mark.parametrize("name", ["nothing.css", "docs.html", "..%2fpages.py", "../pages.py", "pages.py", ""])
async def test_only_static_files_are_served(worker: Worker, name: str) -> None:
    """And 404 for all else."""
    assert (await request(worker.guard, "GET", f"/static/{name}")).status == 404
