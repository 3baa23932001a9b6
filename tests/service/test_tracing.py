"""service/tracing.py: the spans that a collector gets, over HTTP, in its own encoding."""

import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.asgi import request
from tests.factories import shipped_digit
from tests.service.conftest import StartWorker

ROOT = Path(__file__).resolve().parent.parent.parent
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


class Collector:
    """What spans are sent to."""

    def __init__(self, port: int, spans: "queue.Queue[Span]") -> None:
        self.endpoint = f"http://127.0.0.1:{port}/v1/traces"
        self._spans = spans

    def received(self) -> dict[str, Span]:
        """The spans by name."""
        return {span.name: span for span in [self._spans.get_nowait() for _ in range(self._spans.qsize())]}


@pytest.fixture
def collector() -> Iterator[Collector]:
    """A collector on a loopback port."""
    spans: queue.Queue[Span] = queue.Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                for scope in resource.scope_spans:
                    for span in scope.spans:
                        spans.put(span)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield Collector(server.server_port, spans)
        server.shutdown()
        thread.join()


async def test_a_request_and_its_stages_are_spans(start_worker: StartWorker, collector: Collector) -> None:
    """Below the client's, one after the other, within the request's time."""
    worker = await start_worker(traces_endpoint=collector.endpoint, traces_share=0)
    headers = {"traceparent": f"00-{TRACE}-{SPAN}-01"}
    answer = await request(worker.guard, "POST", "/v1/classify", shipped_digit(7)[0], headers)
    await worker.stop()

    spans = collector.received()
    assert answer.status == 200
    assert set(spans) == {"POST /v1/classify", "read", "decode", "queue", "inference", "respond"}
    whole = spans.pop("POST /v1/classify")
    assert (whole.trace_id.hex(), whole.parent_span_id.hex()) == (TRACE, SPAN)
    attributes = {pair.key: pair.value for pair in whole.attributes}
    assert attributes["http.response.status_code"].int_value == 200
    assert attributes["convserve.model"].string_value == "lenet"
    for span in spans.values():
        assert (span.trace_id, span.parent_span_id) == (whole.trace_id, whole.span_id)
        assert whole.start_time_unix_nano <= span.start_time_unix_nano <= span.end_time_unix_nano
        assert span.end_time_unix_nano <= whole.end_time_unix_nano
    assert spans["read"].end_time_unix_nano == spans["decode"].start_time_unix_nano


async def test_what_is_not_sampled_is_not_sent(start_worker: StartWorker, collector: Collector) -> None:
    """By the client, though all others are; those get a trace of their own."""
    worker = await start_worker(traces_endpoint=collector.endpoint, traces_share=1)
    await request(worker.guard, "GET", "/livez", headers={"traceparent": f"00-{TRACE}-{SPAN}-00"})
    await request(worker.guard, "GET", "/nowhere")
    await worker.stop()

    ((name, span),) = collector.received().items()
    assert name == "GET _other"
    assert span.trace_id.hex() != TRACE
    assert not span.parent_span_id


@pytest.mark.parametrize("endpoint", [None, "http://127.0.0.1:9/v1/traces"])
def test_without_tracing_its_libraries_are_not_loaded(tmp_path: Path, endpoint: str | None) -> None:
    """Not by the service with BentoML, nor by a worker that has answered; with it, of course they are."""
    code = f"""if True:
        import asyncio, sys
        import service.service
        from service.settings import Settings
        from service.worker import Worker
        from tests.asgi import request
        from tests.factories import shipped_digit

        async def main():
            folders = dict(metrics_dir={str(tmp_path / "metrics")!r}, state_dir={str(tmp_path / "state")!r})
            worker = Worker(Settings(**folders, provider="cpu", traces_endpoint={endpoint!r}, traces_share=0))
            await worker.start()
            await worker._loading
            answer = await request(worker.guard, "POST", "/v1/classify", shipped_digit(7)[0])
            await worker.stop()
            return answer.status

        print(asyncio.run(main()), any(name.partition(".")[0] == "opentelemetry" for name in sys.modules))
    """

    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["200", str(endpoint is not None)]
