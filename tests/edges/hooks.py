"""An address that alerts are posted to, as its owner sees it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Hook:
    """What was posted, and what is answered: the statuses in turn, then 200. `arrived` is set by each post."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, dict[str, str]]] = []
        self.posts: list[tuple[str, dict[str, str], bytes]] = []
        self.arrived = threading.Semaphore(0)
        self.hold = threading.Event()
        self.hold.set()
        self.body = b"ok"
        self.url = ""

    @property
    def said(self) -> list[Any]:
        """What was posted, read as JSON."""
        return [json.loads(body) for _, _, body in self.posts]

    def wait(self, posts: int = 1) -> None:
        """Wait until so many more have arrived."""
        for _ in range(posts):
            assert self.arrived.acquire(timeout=20), "nothing was posted"


@contextmanager
def hook() -> Iterator[Hook]:
    """A hook that listens on this machine."""
    owner = Hook()

    class Answering(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            owner.posts.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            owner.arrived.release()
            owner.hold.wait(20)
            status, headers = owner.answers.pop(0) if owner.answers else (200, {})
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(owner.body)))
            self.end_headers()
            self.wfile.write(owner.body)

        def log_message(self, *args: object) -> None:
            """Silence."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    owner.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield owner
    finally:
        owner.hold.set()
        server.shutdown()
        server.server_close()
        thread.join(20)
