"""Responses that a provider keeps, so that the next request can go on with one by its id."""

from __future__ import annotations

from collections.abc import Sequence

from bursar.sim.asks import Message
from bursar.sim.failures import refuse

STORED_MAX = 4096


class StoredResponses:
    """Whole conversations by the id of their last response; the oldest are forgotten."""

    def __init__(self) -> None:
        self._messages: dict[str, Sequence[Message]] = {}

    def find(self, response_id: str) -> Sequence[Message]:
        """What came before. Raises RefusedRequestError where nothing of that id is kept."""
        found = self._messages.get(response_id)
        if found is None:
            message = f"Previous response with id '{response_id[:200]}' not found."
            refuse(message, "previous_response_id", "previous_response_not_found")
        return found

    def keep(self, response_id: str, messages: Sequence[Message]) -> None:
        self._messages[response_id] = messages
        while len(self._messages) > STORED_MAX:
            del self._messages[next(iter(self._messages))]
