"""Callers of a gateway who leave as they please: before a request is whole, while they wait, in the middle of a stream.

What they were told is kept, to be held against the books. Each is a thread; whoever finds nobody there tries again.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import socket
import struct
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from bursar.rules.money import nano_of

Address = tuple[str, int]

# Path, models, and what the last event of a whole stream contains.
FORMS = (
    ("/v1/chat/completions", ("openai/gpt-4o-mini", "groq/llama-3.3-70b-versatile", "fast", "sure"), b"data: [DONE]"),
    ("/v1/chat/completions", ("openrouter/meta-llama/llama-3.3-70b-instruct",), b"data: [DONE]"),
    ("/v1/messages", ("anthropic/claude-haiku-4-5",), b'"message_stop"'),
    ("/v1/responses", ("openai/gpt-4.1-mini",), b'"response.completed"'),
)
# A stream that reached its output limit ends so.
ENDS = {"/v1/responses": b'"response.incomplete"'}
# How a call is left: not at all; with half of its body sent; while its answer is waited for; in the middle of it.
LEAVES = ("stays", "half_sent", "waiting", "reading")
LEAVES_WEIGHTS = (64, 6, 15, 15)
WAIT_SECONDS_MAX = 0.1
READ_BYTES_MAX = 6_000
PROVIDER_FAULTS = ("status:503", "drop", "truncate", "missing_usage", "error_in_stream")
PATIENCE_SECONDS = 30.0
# Whoever was refused, or found nobody there, does not spin.
REST_SECONDS = 0.02
# Ours alone: what a provider's failure comes to, refusals, and a gateway that stops.
STATUSES = frozenset({200, 402, 409, 429, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Ask:
    """One request. name: its Idempotency-Key and its session; "" for neither."""

    path: str
    body: bytes
    key: str
    name: str
    ends: tuple[bytes, ...]

    def headers(self) -> dict[str, str]:
        told = {"authorization": f"Bearer {self.key}", "content-type": "application/json"}
        return told | ({"idempotency-key": self.name, "x-bursar-session": self.name} if self.name else {})


@dataclass
class Tally:
    """What callers were told, of all threads. charged: by call, with nano-USD and whether certain, of whole replies.

    whole: calls whose stream was seen to its end. unanswered: requests with a name whose end nobody has seen.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    ended: Counter[str] = field(default_factory=Counter)
    charged: dict[str, tuple[int, bool]] = field(default_factory=dict)
    whole: set[str] = field(default_factory=set)
    unanswered: dict[str, Ask] = field(default_factory=dict)
    strange: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, ask: Ask, ended: str) -> None:
        """How a request ended for its caller."""
        with self.lock:
            self.ended[ended] += 1
            if ask.name:
                if ended in ("answered", "refused"):
                    self.unanswered.pop(ask.name, None)
                else:
                    self.unanswered[ask.name] = ask

    def answered(self, ask: Ask, response: http.client.HTTPResponse, body: bytes) -> None:
        """Note a whole answer."""
        status, call_id = response.status, response.headers.get("x-bursar-call-id", "")
        with self.lock:
            self.statuses[status] += 1
            if status not in STATUSES or b"internal_error" in body:
                self.strange.append(f"{status} {body[:200]!r}")
            cost = response.headers.get("x-bursar-cost-usd")
            if status == 200 and cost is not None:
                self.charged[call_id] = nano_of(cost), response.headers["x-bursar-cost-certain"] == "true"
            elif status == 200 and any(end in body for end in ask.ends):
                self.whole.add(call_id)
        self.note(ask, "answered" if status == 200 else "refused")


class Callers:
    """So many threads that call until they are told to stop."""

    def __init__(self, address: Address, keys: list[str], threads: int, seed: int, *, leaving: bool = True) -> None:
        self.tally = Tally()
        self._address = address
        self._keys = keys
        self._leaving = leaving
        self._stop = threading.Event()
        chances = [random.Random(f"{seed} {number}") for number in range(threads)]
        self._threads = [threading.Thread(target=self._call, args=(one,), daemon=True) for one in chances]

    def __enter__(self) -> Callers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Let each see its request to the end."""
        self._stop.set()
        for thread in self._threads:
            thread.join(2 * PATIENCE_SECONDS)
        assert not any(thread.is_alive() for thread in self._threads)

    def _call(self, chance: random.Random) -> None:
        while not self._stop.is_set():
            ask = ask_of(chance, self._keys, faults=self._leaving)
            leaves = chance.choices(LEAVES, LEAVES_WEIGHTS)[0] if self._leaving else "stays"
            ended = send(self._address, ask, self.tally, leaves, chance)
            if ask.name and ended in ("left", "broken") and chance.random() < 0.6:
                ended = send(self._address, ask, self.tally, "waiting", chance)
            if ended in ("refused", "nobody"):
                self._stop.wait(REST_SECONDS)


def ask_of(chance: random.Random, keys: list[str], *, faults: bool) -> Ask:
    """Any request."""
    path, models, end = chance.choice(FORMS)
    text = f"How much is {chance.random()}?"
    if faults and chance.random() < 0.06:
        text += f" [[fault={chance.choice(PROVIDER_FAULTS)}]]"
    fields: dict[str, Any] = {"model": chance.choice(models), "stream": chance.random() < 0.5}
    if path == "/v1/responses":
        fields |= {"input": text, "max_output_tokens": chance.choice((40, 80))}
    else:
        fields |= {"messages": [{"role": "user", "content": text}], "max_tokens": chance.choice((40, 80, 120))}
    name = f"once-{chance.getrandbits(64):016x}" if chance.random() < 0.3 else ""
    ends = (end, ENDS[path]) if path in ENDS else (end,)
    return Ask(path, json.dumps(fields).encode(), chance.choice(keys), name, ends)


def send(address: Address, ask: Ask, tally: Tally, leaves: str, chance: random.Random) -> str:
    """Send a request and leave it as told. How it ended: answered, refused, left, broken, nobody."""
    connection = http.client.HTTPConnection(*address, timeout=PATIENCE_SECONDS)
    try:
        connection.connect()
    except OSError:
        return "nobody"
    ended = "broken"
    try:
        ended = _converse(connection, ask, tally, leaves, chance)
    except (OSError, http.client.HTTPException):
        pass  # whoever was to answer is dead
    finally:
        _hang_up(connection, chance)
    if ended in ("left", "broken"):
        tally.note(ask, ended)
    return ended


def _converse(
    connection: http.client.HTTPConnection, ask: Ask, tally: Tally, leaves: str, chance: random.Random
) -> str:
    if leaves == "half_sent":
        connection.putrequest("POST", ask.path)
        for name, value in {**ask.headers(), "content-length": str(len(ask.body))}.items():
            connection.putheader(name, value)
        connection.endheaders(ask.body[: chance.randrange(len(ask.body))])
        return "left"
    connection.request("POST", ask.path, ask.body, ask.headers())
    if leaves == "waiting":
        assert connection.sock is not None
        connection.sock.settimeout(chance.uniform(0.001, WAIT_SECONDS_MAX))
        with contextlib.suppress(TimeoutError):
            connection.sock.recv(1, socket.MSG_PEEK)
        return "left"
    response = connection.getresponse()
    read, most = b"", chance.randrange(READ_BYTES_MAX) if leaves == "reading" else None
    while data := response.read1(1_024):
        read += data
        if most is not None and len(read) > most:
            return "left"
    if response.length:
        return "broken"
    tally.answered(ask, response, read)
    return "answered" if response.status == 200 else "refused"


def _hang_up(connection: http.client.HTTPConnection, chance: random.Random) -> None:
    """Close as programs do, with a farewell, or as a machine that is switched off: with a reset."""
    with contextlib.suppress(OSError):
        if connection.sock is not None and chance.random() < 0.5:
            connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
