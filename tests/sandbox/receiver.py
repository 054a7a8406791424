"""A webhook's receiver on loopback: keeps what is posted to it, and answers as it is told."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Post:
    """What was posted: the raw body and the signature."""

    body: bytes
    signature: str


@dataclass
class Receiver:
    """`status`: the answer; `hold`: answered only when this is set."""

    url: str = ""
    status: int = 200
    posts: list[Post] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)
    hold: threading.Event | None = None

    def wait_for(self, wanted: Callable[[list[Post]], bool], within_s: float = 10) -> list[Post]:
        """Return what was posted once it is as wanted; fails after a time."""
        with self.changed:
            assert self.changed.wait_for(lambda: wanted(self.posts), within_s), f"{len(self.posts)} posts came"
            return list(self.posts)


class _Server(ThreadingHTTPServer):
    # With the five that are usual, several posts at once wait a second for their connection.
    request_queue_size = 64


@contextmanager
def receiving(*, status: int = 200, hold: threading.Event | None = None) -> Iterator[Receiver]:
    """Receive while the context lasts."""
    receiver = Receiver(status=status, hold=hold)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            with receiver.changed:
                receiver.posts.append(Post(body=body, signature=self.headers["stripe-signature"]))
                receiver.changed.notify_all()
            if receiver.hold is not None:
                receiver.hold.wait(10)
            self.send_response(receiver.status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with _Server(("127.0.0.1", 0), Handler) as server:
        receiver.url = f"http://127.0.0.1:{server.server_address[1]}/hooks"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()
