"""A provider's records behind HTTP: a server that answers GET /generation as it is told."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


class Provider:
    """What is answered by id: a list of (status, body), the last of which stays. asked: ids in their order."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.answers: dict[str, list[tuple[int, Any]]] = {}
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []

    def has(self, request_id: str, cost: Any, **fields: Any) -> None:
        """There is a record."""
        record = {"id": request_id, "model": "m-2026", "total_cost": cost, "is_byok": False, **fields}
        self.answers[request_id] = [
            (200, {"data": {"native_tokens_prompt": 9, "native_tokens_completion": 4, **record}})
        ]

    def answer(self, request_id: str) -> tuple[int, Any]:
        """The next answer for an id."""
        told = self.answers.get(request_id, [(404, {"error": {"code": 404, "message": "Generation not found"}})])
        return told.pop(0) if len(told) > 1 else told[0]


@contextmanager
def records() -> Iterator[Provider]:
    """The server, on a port of its own."""

    class Desk(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            where = urlsplit(self.path)
            (request_id,) = parse_qs(where.query)["id"]
            provider.asked.append(request_id)
            provider.headers.append({name.lower(): value for name, value in self.headers.items()})
            status, body = provider.answer(request_id) if where.path == "/api/v1/generation" else (500, {})
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Retry-After", "0")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Desk)
    server.daemon_threads = True
    provider = Provider(f"http://127.0.0.1:{server.server_address[1]}/api/v1")
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()
