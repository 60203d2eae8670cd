"""What both relays keep of the stream that is open: its reader, and what it announced before it said anything.

Announcements are held back until output follows, so that a stream that breaks before can be replaced by another without
the caller seeing two beginnings. So is the beginning of what is no stream at all, since it may say why. Decides nothing
of which stream comes next; that is the flow's.
"""

from __future__ import annotations

from collections.abc import Callable

from bursar.call.effects import Relay, Streamed
from bursar.call.exchange import Failed
from bursar.wire.marks import continued_mark, restarted_mark
from bursar.wire.preamble import preamble_of

# More announcements than that are passed on as they come.
PREAMBLE_MAX = 64
# Of what is no stream, so much is read: an error fits, and a page for browsers is known by its beginning.
INSTEAD_BYTES_MAX = 65_536
# Of what may have to be continued, so much is remembered: 100,000 tokens, each in an event. More is begun again.
KEPT_BYTES_MAX = 33_554_432


class Announced:
    """The open stream of a relay, and those of the same reply before it.

    first_token_ms: when its first output came, None before. restarts: how often the caller, who had seen some of the
    reply, was shown one that begins anew instead; continued: how often another attempt went on from there.
    """

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self.first_token_ms: int | None = None
        self.restarts = 0
        self.continued = 0
        self._mark = b""
        self._broke_off = False

    def begin(self, relay: Relay) -> None:
        """A stream is open."""
        self._broke_off = self._broke_off or self.first_token_ms is not None
        self.effect = relay
        self.reader = relay.reader
        self.first_token_ms = None
        self._opens = preamble_of(relay.dialect)
        self._held: list[bytes] = []
        self._instead = bytearray()
        self._delivered_bytes = 0
        self._delivered: list[bytes] | None = [] if relay.keeps_said or relay.on_abort == "counted" else None

    def deliver(self, payloads: list[bytes]) -> list[bytes]:
        """Pass on what the caller sees, and remember it where it may be charged by that, or continued."""
        if self._broke_off:
            self.resumed()
        if self._delivered is not None:
            self._delivered += payloads
            self._delivered_bytes += sum(map(len, payloads))
            if self._delivered_bytes > KEPT_BYTES_MAX and self.effect.on_abort != "counted":
                self._delivered = None
        return payloads

    def resumed(self) -> None:
        """What broke off after output was shown is replaced now: say how."""
        if self._broke_off:
            self._broke_off = False
            if self.effect.continues:
                self.continued += 1
                self._mark = continued_mark(self.continued)
            else:
                self.restarts += 1
                self._mark = restarted_mark(self.restarts)

    def mark(self) -> bytes:
        """What a stream of bytes says before the payloads that were pulled last; b"" where they just follow."""
        mark, self._mark = self._mark, b""
        return mark

    def unread(self, data: bytes) -> None:
        """Keep bytes of which no event came, as long as there was none."""
        if self.first_token_ms is None and not self._held and len(self._instead) < INSTEAD_BYTES_MAX:
            self._instead += data[:INSTEAD_BYTES_MAX]

    def streamed(self, failed: Failed | None) -> Streamed:
        """How the stream ended."""
        instead = b"" if self._held else bytes(self._instead)
        return Streamed(failed, self.first_token_ms, instead, tuple(self._delivered or ()))

    def begun(self, payloads: list[bytes], began: Callable[[], None]) -> list[bytes]:
        """Hold back what says nothing; with the first that does, all of it. `began` is told then."""
        self._held += payloads
        if all(map(self._opens, payloads)) and len(self._held) <= PREAMBLE_MAX:
            return []
        self.first_token_ms = self._clock()
        began()
        return self.rest()

    def rest(self) -> list[bytes]:
        """What is still held back."""
        rest, self._held = self._held, []
        return rest
