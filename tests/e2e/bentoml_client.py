"""BentoML's Python clients in a process of their own, as their modules warn of what is to come: URL PATH… → JSON."""

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bentoml
from bentoml.exceptions import BentoMLException


def outcome(call: Callable[[], Any]) -> dict[str, Any]:
    """The answer, or the status and the text of the refusal."""
    try:
        return {"answer": call()}
    except BentoMLException as error:
        return {"status": int(error.error_code), "text": str(error)}


async def asynchronously(url: str, path: Path) -> Any:
    """The same with the other client."""
    async with bentoml.AsyncHTTPClient(url) as client:
        return await client.classify(path)


def main(url: str, *paths: str) -> None:
    """Classify each path; all of them at once; an address; and the first with the asynchronous client."""
    with bentoml.SyncHTTPClient(url) as client:
        found = {Path(path).name: outcome(lambda path=path: client.classify(Path(path))) for path in paths}  # type: ignore[misc]
        found["(several)"] = outcome(lambda: client.classify(images=[Path(path) for path in paths]))
        found["(address)"] = outcome(lambda: client.classify("http://127.0.0.1:1/7.png"))
    found["(async)"] = outcome(lambda: asyncio.run(asynchronously(url, Path(paths[0]))))
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
