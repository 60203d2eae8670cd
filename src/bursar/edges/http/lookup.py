"""One GET of a provider's records: its price list, its account, what it says a request cost.

Blocking, over a transport of its own, for commands and start-up; never on the way of a call. Never raises: every ending
is a value.
"""

from __future__ import annotations

from collections.abc import Mapping

from bursar.call.exchange import Answer, Exchange, Failed, Progress
from bursar.edges.http.pool import PoolLimits
from bursar.edges.http.surroundings import wall_ms

__all__ = ["Lookup"]

# A record is a page of JSON; a provider that takes longer is asked again another time.
LOOKUP_SECONDS = 30.0


class Lookup:
    """Asks one provider for its records. A context manager; safe to share between threads.

    provider: its name, for messages. headers: with the key, as for any request of it.
    """

    def __init__(self, provider: str, headers: Mapping[str, str], *, limits: PoolLimits | None = None) -> None:
        from bursar.edges.http.blocking import BlockingTransport

        self._provider = provider
        self._headers = {name: value for name, value in headers.items() if name.lower() != "content-type"}
        self._transport = BlockingTransport({provider: limits or PoolLimits()}, now_ms=wall_ms)

    def get(self, url: str, *, seconds: float = LOOKUP_SECONDS) -> Answer | Failed:
        """The whole answer to a GET of `url`, whatever its status."""
        deadline_ms = wall_ms() + int(seconds * 1000)
        exchange = Exchange(self._provider, url, self._headers, b"", False, deadline_ms, method="GET")
        outcome, _ = self._transport.open(exchange, Progress())
        assert isinstance(outcome, (Answer, Failed))
        return outcome

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def __enter__(self) -> Lookup:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
