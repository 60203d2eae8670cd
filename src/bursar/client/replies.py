"""What a caller gets back: a Reply with its cost and receipt, the vectors of an embedding, a quote before a call.

The reply itself stays the provider's bytes and is decoded when somebody reads it.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from bursar.call.books import Balance
from bursar.call.flow import Result
from bursar.call.receipt import Receipt
from bursar.rules.money import Cost, format_usd, usd_of
from bursar.rules.usage import EMPTY_USAGE, Usage
from bursar.wire.readings import Whole, reading_of
from bursar.wire.reply import EmbeddingsReply


class Governed:
    """What every reply has beside its content: usage, cost, receipt and the model that answered."""

    __slots__ = ("_result", "cost", "receipt", "usage")

    def __init__(self, result: Result) -> None:
        self._result = result
        self.cost: Cost = result.cost
        self.receipt: Receipt = result.receipt
        self.usage: Usage = result.metered.usage or EMPTY_USAGE

    @property
    def model(self) -> str:
        """The model that answered, as the provider names it; the one asked for where it does not say."""
        return self._result.metered.served_model or self._result.fact.model

    @property
    def provider(self) -> str:
        """The provider that answered."""
        return self._result.fact.provider

    @property
    def call_id(self) -> str:
        """The id of the call in the books."""
        return self._result.fact.call_id


class Reply(Governed):
    """The answer of a model: text, tool calls, finish reason, usage leaves, cost, receipt, and the raw reply."""

    __slots__ = ("_whole",)

    def __init__(self, result: Result, whole: Whole) -> None:
        super().__init__(result)
        self._whole = whole

    @classmethod
    def of(cls, result: Result) -> Reply:
        """The reply of a call that was not streamed."""
        return cls(result, reading_of(result.fact.dialect).whole(result.body or b""))

    @classmethod
    def of_stream(cls, result: Result, payloads: list[bytes]) -> Reply:
        """The reply that the payloads of a stream add up to, as far as they came."""
        return cls(result, reading_of(result.fact.dialect).whole.of_chunks(payloads))

    @property
    def text(self) -> str:
        """The text of the first choice; "" when it has none."""
        return self._whole.text

    @property
    def tool_calls(self) -> list[dict[str, Any]]:
        """The tool calls of the first choice, in chat's form; [] for none."""
        return self._whole.tool_calls

    @property
    def finish_reason(self) -> str | None:
        """Why the first choice ended, in the provider's word."""
        return self._whole.finish_reason

    @property
    def raw(self) -> dict[str, Any]:
        """The whole reply as the provider sent it (for a stream: put together from its chunks)."""
        return self._whole.raw

    def __repr__(self) -> str:
        return f"Reply(model={self.model!r}, cost={self.cost}, call_id={self.call_id!r})"


class Vectors(Governed):
    """The answer to an embedding: `vectors`, a list of floats for each input, in order."""

    __slots__ = ("_embeddings",)

    def __init__(self, result: Result, embeddings: EmbeddingsReply) -> None:
        super().__init__(result)
        self._embeddings = embeddings

    @classmethod
    def of(cls, result: Result) -> Vectors:
        """The reply of an embedding call."""
        return cls(result, EmbeddingsReply(result.body or b""))

    @property
    def vectors(self) -> list[list[float]]:
        """One vector for each input, in the order of the inputs."""
        return self._embeddings.vectors

    @property
    def raw(self) -> dict[str, Any]:
        """The whole reply as the provider sent it."""
        return self._embeddings.raw

    def __repr__(self) -> str:
        return f"Vectors(model={self.model!r}, cost={self.cost}, call_id={self.call_id!r})"


@dataclass(frozen=True, slots=True)
class Fit:
    """Whether a call fits one budget now, and where that budget stands. One that is only observed refuses nothing."""

    balance: Balance
    fits: bool
    enforced: bool = True


@dataclass(frozen=True, slots=True)
class Quote:
    """What a call would use and cost, before it is made. Amounts are nano-USD; None where a price is not known.

    input_tokens: counted offline. output_tokens_max: the limit that would be in force. most: what has to fit a budget;
    where there is money enough, up to several times as much is held for the input, since nothing is counted then.
    likely: the counted input and a usual reply. budgets: every budget it falls under and whether it fits now.
    """

    model: str
    input_tokens: int
    output_tokens_max: int
    most_nano_usd: int | None
    likely_nano_usd: int | None
    price_version: str
    budgets: tuple[Fit, ...] = ()

    @property
    def most_usd(self) -> Decimal | None:
        """The most it can cost, in dollars."""
        return None if self.most_nano_usd is None else usd_of(self.most_nano_usd)

    @property
    def likely_usd(self) -> Decimal | None:
        """What it will probably cost, in dollars."""
        return None if self.likely_nano_usd is None else usd_of(self.likely_nano_usd)

    @property
    def fits(self) -> bool:
        """True when it fits every budget that is enforced, now."""
        return all(fit.fits for fit in self.budgets if fit.enforced)

    def __str__(self) -> str:
        most, likely = format_usd(self.most_nano_usd), format_usd(self.likely_nano_usd)
        verdict = "fits every budget" if self.fits else "does not fit"
        return f"{self.model}: {self.input_tokens} tokens in, likely {likely}, at most {most}; {verdict}"
