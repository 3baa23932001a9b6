"""The ceiling: the least code that does the same work on bare uvicorn, with nothing that a service needs beside it."""

import asyncio
import queue
import threading
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from pydantic_core import to_json

from models.postprocess import top_k
from models.preprocess import DecodeLimits, preprocess
from models.spec import METADATA_KEY, ModelSpec
from service.session import session_options

MODEL = Path(__file__).parent.parent / "models/repository/lenet/1/model.onnx"
session = ort.InferenceSession(MODEL.read_bytes(), session_options(1), providers=["CPUExecutionProvider"])
spec = ModelSpec.from_json(session.get_modelmeta().custom_metadata_map[METADATA_KEY], str(MODEL))
limits = DecodeLimits()
waiting: deque[tuple[Any, asyncio.Future[Any]]] = deque()
running: list[Any] = []
batches: queue.SimpleQueue[asyncio.AbstractEventLoop] = queue.SimpleQueue()


def work() -> None:
    while True:
        loop = batches.get()
        images = np.stack([image for image, _ in running])
        loop.call_soon_threadsafe(finish, loop, session.run(["probabilities"], {"images": images})[0])


def dispatch(loop: asyncio.AbstractEventLoop) -> None:
    if not running and waiting:
        running.extend(waiting.popleft() for _ in range(min(len(waiting), 32)))
        batches.put(loop)


def finish(loop: asyncio.AbstractEventLoop, probabilities: Any) -> None:
    answered = running.copy()
    running.clear()
    dispatch(loop)
    for (_, future), row in zip(answered, probabilities, strict=True):
        future.set_result(row)


async def app(scope: Any, receive: Any, send: Any) -> None:
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    waiting.append((preprocess((await receive())["body"], spec.geometry, limits), future))
    loop.call_soon(dispatch, loop)
    answer = to_json({"predictions": top_k(await future, spec.labels, 5)})
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})


threading.Thread(target=work, daemon=True).start()
