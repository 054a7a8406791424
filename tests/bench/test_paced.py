import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bench.children import BenchError
from bench.paced import http_request, run_paced


@contextmanager
def _server(status: int) -> Iterator[tuple[int, list[bytes]]]:
    bodies: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(status)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_address[1], bodies
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_paced_load_sends_what_is_due_and_times_each_from_then() -> None:
    with _server(200) as (port, bodies):
        request = http_request("/x", port, key="k", body=b'{"a":1}')
        taken = run_paced(port, request, rate_per_s=200.0, seconds=0.25, connections=3)
    assert taken.samples == 50
    assert bodies == [b'{"a":1}'] * 50
    assert 0 < taken.p50_ms <= taken.p99_ms <= taken.max_ms


def test_a_paced_load_ends_with_the_first_answer_that_is_no_success() -> None:
    with _server(402) as (port, _):
        request = http_request("/x", port, key="k", body=b"{}")
        with pytest.raises(BenchError, match="402"):
            run_paced(port, request, rate_per_s=50.0, seconds=1.0, connections=2)
