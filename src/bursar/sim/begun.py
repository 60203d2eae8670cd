"""Answers that a client has begun: which providers go on from there, how they are told, and what is left to say.

A conversation that ends with the assistant's own words is, to some, an answer to go on with; to the others a turn that
is over. The answer that goes on is what the whole would have been, less its beginning, wherever that is one. Source:
Anthropic's guide "Prefill Claude's response" and its removal with Claude 4.6; Mistral's `prefix`; vLLM's
`continue_final_message`. Never sends, waits or records.
"""

from __future__ import annotations

import re

from bursar.sim.asks import ChatAsk
from bursar.sim.failures import RefusedRequestError, invalid
from bursar.sim.prices import Model

NO_PREFILL = re.compile(r"(.*/)?claude-((opus|sonnet|haiku)-)?(4[-.][6-9]|[5-9])([-.].*)?")
FINISHED = ("openai/", "google/", "x-ai/")
"""Makers whose models take the last message for a turn that is over, behind a router too."""
WRONG_ROLE = "Expected last role User or Tool (or Assistant with prefix True) for serving but got assistant"
NO_BEGINNING = "This model does not support assistant message prefill. The conversation must end with a user message."
BOTH_FLAGS = "Cannot set both `continue_final_message` and `add_generation_prompt` to True."


def begun_in(ask: ChatAsk, way: str, model: Model) -> str:
    """The beginning that the answer goes on from, "" for none. Raises RefusedRequestError where it may not be."""
    last = ask.messages[-1]
    if way == "flag" and ask.continue_final_message and ask.add_generation_prompt is not False:
        raise RefusedRequestError(invalid(BOTH_FLAGS))
    if last.role != "assistant":
        return ""
    if way == "prefix" and not last.prefix:
        raise RefusedRequestError(invalid(WRONG_ROLE))
    if way == "plain" and NO_PREFILL.fullmatch(model.id):
        raise RefusedRequestError(invalid(NO_BEGINNING))
    goes_on = ask.continue_final_message if way == "flag" else bool(way) and not model.id.startswith(FINISHED)
    return "".join(last.texts()) if goes_on else ""


def left_of(pieces: list[str], begun: str) -> list[str]:
    """What is left to say of an answer that is begun; all of another one.

    >>> left_of(["To", " the", " sea"], "To th")
    ['e', ' sea']
    """
    if not "".join(pieces).startswith(begun):
        return pieces
    left: list[str] = []
    over = len(begun)
    for piece in pieces:
        if len(piece) > over:
            left.append(piece[over:])
        over = max(0, over - len(piece))
    return left
