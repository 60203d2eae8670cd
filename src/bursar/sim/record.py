"""The truth: one entry for each request, appended once its bill is final and never changed.

With a file, each entry is one write(2) of one line to a descriptor opened with O_APPEND, made before the last byte of
the answer leaves; so whoever has seen an answer's end finds its line, and the total survives the process. In memory a
bounded number of entries is kept for look-ups. Never decides what is billed.
"""

from __future__ import annotations

import os
from collections import Counter, deque
from pathlib import Path

import msgspec


class Entry(msgspec.Struct, frozen=True, omit_defaults=False):
    """One request as the provider saw it. `status` 0 means that nothing was answered.

    `lines` are the nano-USD of its bill by what was used, and add up to it. `upstream_nano_usd` is what the caller's
    own key was charged behind a router, None where it was not used. From `found_at_ms` on the provider finds it.
    """

    id: str
    client_request_id: str | None
    provider: str
    kind: str
    model: str
    model_asked: str
    stream: bool
    status: int
    usage: dict[str, int]
    billed_nano_usd: int
    aborted: bool
    at_ms: int
    fault: str | None = None
    error_code: str | None = None
    choices: int = 1
    output_limit: int | None = None
    tier: str = ""
    lines: dict[str, int] = {}
    upstream_nano_usd: int | None = None
    found_at_ms: int = 0
    generation_ms: int = 0
    headers: dict[str, str] = {}
    preferences: dict[str, object] = {}


_encode = msgspec.json.Encoder().encode


class Record:
    """Every entry of this simulator and, with a file, of those before it on the same file.

    Raises OSError where the file cannot be opened or written, ValueError where a line in it is not an entry.
    """

    def __init__(self, path: Path | None, records_max: int) -> None:
        self._path = path
        self._kept: deque[Entry] = deque()
        self._kept_max = records_max
        self._by_id: dict[str, list[Entry]] = {}
        self._descriptor: int | None = None
        self._clear_totals()
        if path is not None:
            self._load(path)
            self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            self._end_torn_line(path)

    def append(self, entry: Entry) -> None:
        """Write the entry, then count it."""
        if self._descriptor is not None:
            line = _encode(entry) + b"\n"
            if os.write(self._descriptor, line) != len(line):
                raise OSError(f"the record {self._path} took only a part of a line: is the disk full?")
        self._count(entry)

    def find(self, request_id: str) -> list[Entry]:
        """The entries of a client's request id, or the one of a reply's id; oldest first."""
        return list(self._by_id.get(request_id, ()))

    def entries(self) -> list[Entry]:
        """The entries kept in memory, oldest first."""
        return list(self._kept)

    def billed_nano_usd(self, provider: str) -> int:
        """What one provider billed in all."""
        return sum(nano for name, nano in self._billed_by_model.items() if name.startswith(f"{provider}/"))

    def bill(self) -> dict[str, object]:
        """The totals: nano-USD billed, requests recorded, and both by provider/model."""
        return {
            "billed_nano_usd": self._billed,
            "count": self._count_all,
            "by_model": {
                name: {"count": count, "billed_nano_usd": self._billed_by_model[name]}
                for name, count in sorted(self._count_by_model.items())
            },
        }

    def reset(self) -> None:
        """Forget everything, the file's lines too."""
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
        self._kept.clear()
        self._by_id.clear()
        self._clear_totals()

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _clear_totals(self) -> None:
        self._billed = 0
        self._count_all = 0
        self._billed_by_model: Counter[str] = Counter()
        self._count_by_model: Counter[str] = Counter()

    def _count(self, entry: Entry) -> None:
        name = f"{entry.provider}/{entry.model}"
        self._billed += entry.billed_nano_usd
        self._count_all += 1
        self._billed_by_model[name] += entry.billed_nano_usd
        self._count_by_model[name] += 1
        self._kept.append(entry)
        for key in keys_of(entry):
            self._by_id.setdefault(key, []).append(entry)
        if len(self._kept) > self._kept_max:
            self._drop(self._kept.popleft())

    def _drop(self, entry: Entry) -> None:
        for key in keys_of(entry):
            kept = self._by_id[key]
            kept.pop(0)
            if not kept:
                del self._by_id[key]

    def _load(self, path: Path) -> None:
        if not path.exists():
            return
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if not line.endswith(b"\n"):
                    return  # the machine stopped inside a write: nobody saw the end of that answer
                if not line.strip():
                    continue
                try:
                    self._count(msgspec.json.decode(line, type=Entry))
                except msgspec.DecodeError as error:
                    raise ValueError(f"record {path}, line {number}: {error}") from error

    def _end_torn_line(self, path: Path) -> None:
        with path.open("rb") as file:
            length = file.seek(0, os.SEEK_END)
            if length == 0:
                return
            file.seek(length - 1)
            if file.read(1) == b"\n":
                return
            file.seek(0)
            whole = file.read().rfind(b"\n") + 1
        os.truncate(path, whole)


def read_record(path: Path) -> list[Entry]:
    """Every entry of a record file, in the order it was billed; a torn last line is left out."""
    with path.open("rb") as lines:
        return [msgspec.json.decode(line, type=Entry) for line in lines if line.endswith(b"\n") and line.strip()]


def keys_of(entry: Entry) -> tuple[str, ...]:
    """What an entry is found by."""
    client = entry.client_request_id
    return (entry.id,) if client is None or client == entry.id else (entry.id, client)
