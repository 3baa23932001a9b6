"""service/logs.py: what a line looks like, and that writing it holds up nobody."""

import io
import json
import logging
import subprocess
import sys
import threading
from typing import Any

import pytest

from service import logs
from service.logs import JsonFormatter, Refusals, ThreadedHandler


def record(message: str, *arguments: object, **fields: object) -> logging.LogRecord:
    """An event."""
    made = logging.LogRecord("convserve.test", logging.INFO, __file__, 1, message, arguments, None)
    made.fields = fields
    return made


def test_a_line_is_one_json_object_whatever_is_in_it() -> None:
    """Line ends, escape sequences and quotes of a client cannot forge a second event."""
    line = JsonFormatter().format(record("path %s", 'a"\r\n{"level":"error"}\x1b[31m\u2028', client="\nx"))

    assert line.isascii()
    assert not set(line) & {"\r", "\n", "\x1b"}
    event = json.loads(line)
    assert event["message"].startswith('path a"\r\n')
    assert (event["level"], event["logger"], event["client"]) == ("info", "convserve.test", "\nx")


class Pipe(io.StringIO):
    """A stream that can be blocked."""

    def __init__(self) -> None:
        super().__init__()
        self.open = threading.Event()
        self.blocked = threading.Event()

    def write(self, text: str) -> int:
        self.blocked.set()
        if not self.open.wait(10):
            raise TimeoutError
        return super().write(text)


def test_a_blocked_pipe_blocks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines wait, then are dropped and counted; once the pipe flows, what waited is written."""
    pipe = Pipe()
    monkeypatch.setattr(sys, "stderr", pipe)
    handler = ThreadedHandler(capacity=3)
    handler.setFormatter(JsonFormatter())
    handler.emit(record("first"))
    assert pipe.blocked.wait(10)
    for n in range(10):
        handler.emit(record("line %d", n))
    handler.finish(0.01)  # in vain

    pipe.open.set()
    handler.finish(10)

    messages = [json.loads(line)["message"] for line in pipe.getvalue().splitlines()]
    assert messages == ["first", "line 0", "7 lines dropped", "line 1", "line 2"]


def test_a_reader_that_is_gone_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next line is tried again."""

    class Broken(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stderr", Broken())
    handler = ThreadedHandler()
    handler.setFormatter(JsonFormatter())
    handler.emit(record("lost"))
    handler.emit(record("lost %d", "not a number"))  # cannot be formatted
    handler.finish(10)

    assert not handler._thread.is_alive()


def test_refusals_are_counted_and_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line a reason and interval, which says how many there were since the last."""
    clock = [100.0]
    monkeypatch.setattr(logs, "monotonic", lambda: clock[0])
    seen: list[dict[str, Any]] = []
    monkeypatch.setattr(logs.refusal_logger, "info", lambda *_, extra: seen.append(extra["fields"]))
    refusals = Refusals()

    for _ in range(1000):
        refusals.note("truncated", client="a")
    refusals.note("bad_param", client="b")
    clock[0] += 11
    refusals.note("truncated", client="c")

    assert seen == [
        {"code": "truncated", "more_since_last": 0, "client": "a"},
        {"code": "bad_param", "more_since_last": 0, "client": "b"},
        {"code": "truncated", "more_since_last": 999, "client": "c"},
    ]


_BAD_FORM = """
from service import logs, multipart
logs.configure(whole_process={whole})
try:
    multipart.parse(b"multipart/form-data; boundary=x", b"--x" + bytes(100), 1)
except Exception as error:
    print(type(error).__name__)
logs.finish(5)
"""


@pytest.mark.parametrize("whole", [True, False])
def test_a_malformed_form_writes_no_line_of_its_own(whole: bool) -> None:
    """Its refusal is noted at a rate; the parser's warnings have none."""
    done = subprocess.run(  # in a process of its own, as it sets up logging
        [sys.executable, "-c", _BAD_FORM.format(whole=whole)], capture_output=True, text=True, check=True
    )

    assert (done.stdout, done.stderr) == ("BadMultipart\n", "")
