"""TokenCounter and TokenCostEstimator: the tokens of a request, offline, and what they would cost.

Faces of `catalog.tokens` and of CostTracker. What is counted is an estimate, exact for plain chat with OpenAI's models
only; a bound for a hard budget is the client's business.
"""

from __future__ import annotations

from typing import Any

from bursar.blocks.cost_tracker import CostTracker, token_count
from bursar.catalog import tokens
from bursar.catalog.tool_types import json_text


class TokenCounter:
    """Counts the tokens of texts and messages as a model would, without the network. Never raises on odd shapes.

    >>> TokenCounter("gpt-4o").count_text("Name three rivers.")
    4
    """

    def __init__(self, model: str = "gpt-4o") -> None:
        self.model = model
        self._vocabulary = tokens.encoding_for(model)

    @property
    def exact(self) -> bool:
        """True when the model's own vocabulary is at hand; else the counts are estimates."""
        return tokens.knows(self.model)

    def count_text(self, text: object) -> int:
        """The tokens of a text; of its JSON for anything else, 0 for None."""
        if text is None:
            return 0
        return tokens.count_text(text if isinstance(text, str) else json_text(text), self._vocabulary)

    def count_messages(self, messages: object, *, tools: object = None, response_format: object = None) -> int:
        """The input tokens of a chat with these messages, and the tools and response format sent with them."""
        return tokens.count_messages(messages, self.model, tools, response_format)


class TokenCostEstimator:
    """Counts the tokens of a request, prices them, and says whether they fit the tracker's limits."""

    def __init__(self, token_counter: TokenCounter, cost_tracker: CostTracker) -> None:
        self.token_counter = token_counter
        self.cost_tracker = cost_tracker

    def estimate_request_cost(self, messages: list[dict[str, Any]], max_tokens: int) -> dict[str, Any]:
        """What a request with these messages and this output limit comes to.

        Returns a dict with `input_tokens`, `estimated_output_tokens` (the limit), `estimated_cost` (Decimal USD, None
        when a price is not known), and `within_budget`: whether it fits the tracker's daily limit and its limit per
        request at the dearest prices that it can meet. A price that is not known fits no limit, and anything fits
        where there is none.

        Raises ValueError when `max_tokens` is not a whole number, 0 or more.
        """
        input_tokens = self.token_counter.count_messages(messages)
        output_tokens = token_count("max_tokens", max_tokens)
        return {
            "input_tokens": input_tokens,
            "estimated_output_tokens": output_tokens,
            "estimated_cost": self.cost_tracker.estimate_cost(input_tokens, output_tokens),
            "within_budget": self.cost_tracker.check_budget(input_tokens + output_tokens, output_tokens=output_tokens),
        }
