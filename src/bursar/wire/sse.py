"""Server-sent events, cut anywhere: bytes in, the payloads of whole events out.

Decides where an event ends and what its data is. Ignores comments, event names and ids, since every dialect says in
the payload what an event is. Never raises on what it is fed and never holds more than its bound: past it, `fault`
says why and nothing more comes out. An event that the stream ends within is not one.

Source: WHATWG HTML, section 9.2.6, "Interpreting an event stream".
"""

from __future__ import annotations

import re

__all__ = ["EVENT_BYTES_MAX", "EventStream"]

# Providers send an image as one base64 event of a few megabytes; nothing sensible is larger.
EVENT_BYTES_MAX = 16 * 2**20

_BOM = b"\xef\xbb\xbf"
_LF, _CR = b"\n", b"\r"
_NAMED_EVENTS = re.compile(rb"^event: [^\n]*\ndata: ([^\n]*)\n\n", re.MULTILINE).findall


class EventStream:
    """Cuts one stream into events. `fault` is empty until the stream passes `event_bytes_max`."""

    __slots__ = ("_at_start", "_data", "_data_bytes", "_fresh", "_line", "_skip_lf", "event_bytes_max", "fault")

    def __init__(self, event_bytes_max: int = EVENT_BYTES_MAX) -> None:
        self.event_bytes_max = event_bytes_max
        self.fault = ""
        self._at_start = True  # a byte order mark may still come
        self._fresh = True  # between two events, nothing pending: the fast path may be tried
        self._skip_lf = False  # a CR ended the last line; an LF right after it belongs to it
        self._line = bytearray()  # a line whose end has not come
        self._data: list[bytes] = []  # the data lines of an event whose end has not come
        self._data_bytes = 0

    @property
    def pending(self) -> bool:
        """True inside an event or a line: a stream that ends here was cut."""
        return bool(self._line or self._data)

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes; return the payloads of the events that they complete, in order."""
        if self._fresh and data[:6] == b"data: " and data[-2:] == b"\n\n" and _CR not in data:
            events = data[6:-2].split(b"\n\ndata: ")
            # With no other line ends than those between the events, each event is one line.
            if data.count(_LF) == 2 * len(events) and len(data) <= self.event_bytes_max:
                self._at_start = False
                return events
        elif self._fresh and data[:7] == b"event: " and data[-2:] == b"\n\n" and _CR not in data:
            events = _NAMED_EVENTS(data)
            # As above, with a line that names the event before that of its data: Anthropic's and Responses' way.
            if data.count(_LF) == 3 * len(events) and len(data) <= self.event_bytes_max:
                self._at_start = False
                return events
        if not data or self.fault:
            return []
        return self._feed_lines(data)

    def _feed_lines(self, data: bytes) -> list[bytes]:
        if self._skip_lf:
            self._skip_lf = False
            if data[:1] == _LF:
                data = data[1:]
        if _LF not in data and _CR not in data:
            self._line += data
            self._fresh = not self.pending
            return self._bounded([])
        lines = bytes(self._line + data).splitlines(keepends=True)
        self._line.clear()
        if self._at_start:
            self._at_start = False
            lines[0] = lines[0].removeprefix(_BOM)
        self._skip_lf = lines[-1].endswith(_CR)
        if not lines[-1].endswith((_LF, _CR)):
            self._line += lines.pop()
        events: list[bytes] = []
        for line in lines:
            self._take(line.rstrip(b"\r\n"), events)
            if self._data_bytes > self.event_bytes_max:
                break
        # An LF that still belongs to a CR is an empty line between two events to the fast path, and as little.
        self._fresh = not self.pending
        return self._bounded(events)

    def _take(self, line: bytes, events: list[bytes]) -> None:
        if not line:
            if self._data:
                events.append(b"\n".join(self._data))
                self._data.clear()
                self._data_bytes = 0
        elif line.startswith(b"data:"):
            value = line[6:] if line[5:6] == b" " else line[5:]
            self._data.append(value)
            self._data_bytes += len(value) + 1
        elif line == b"data":
            self._data.append(b"")
            self._data_bytes += 1

    def _bounded(self, events: list[bytes]) -> list[bytes]:
        if self._data_bytes > self.event_bytes_max or len(self._line) > self.event_bytes_max:
            self.fault = f"an event of the stream is larger than {self.event_bytes_max} bytes"
            self._line.clear()
            self._data.clear()
        return events
