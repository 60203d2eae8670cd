"""Every error that Bursar raises, classified by status and code, never by message text.

    BursarError                        .sent  .cost  .retryable  .retry_after_seconds
    ├─ ConfigError                     file, line, key path, what was expected
    ├─ InvalidRequestError             the caller's fault; not sent
    ├─ RefusedError                    ours; not sent; costs nothing
    │  ├─ BudgetExceededError          a budget's money is spent, held, or too small for this call
    │  ├─ LimitExceededError           a limit on requests, tokens or calls in flight
    │  ├─ PriceUnknownError            a budget applies and the price is not known
    │  ├─ CircuitBreakerError          the provider is failing; not asked
    │  └─ QueueFullError               too many calls wait already
    ├─ ProviderError                   provider, model, status, code, request_id, attempts
    │  ├─ ProviderRejectedError        4xx: the request itself
    │  │  ├─ ProviderAuthError         401, 403
    │  │  ├─ ContextTooLongError       code context_length_exceeded
    │  │  ├─ ContentBlockedError       code content_filter and its kin
    │  │  └─ ModelNotFoundError        404, code model_not_found
    │  ├─ ProviderRateLimitError       429: come back later
    │  ├─ ProviderQuotaError           402, 429 insufficient_quota: money, not rate
    │  ├─ ProviderUnavailableError     5xx, 529, no connection
    │  ├─ ProviderTimeoutError         connect, pool, write, first byte or whole call
    │  └─ MalformedReplyError          a 200 that is not what the wire says
    ├─ StreamInterruptedError          the partial reply and its metered cost
    └─ StoreUnavailableError           the books cannot be read or written; fails closed

Bursar puts no prompt text into an exception; a provider's own message is passed on, and may quote one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from bursar.rules.money import Cost


class BursarError(Exception):
    """The root. `sent`: bytes may have reached a provider. `cost`: what was charged, None when nothing was.

    Both are of the whole call. `earlier`: its other attempts, as on a receipt: where, why not, and what for.
    """

    code: ClassVar[str] = "bursar_error"
    sent: bool = False
    cost: Cost | None = None
    retryable: bool = False
    retry_after_seconds: float | None = None
    call_id: str | None = None
    earlier: tuple[Any, ...] = ()

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class ConfigError(BursarError):
    """The configuration cannot be used. `file`, `line` (from 1) and `key` say where, as far as they are known."""

    code = "config_invalid"

    def __init__(
        self, message: str, *, file: str | None = None, line: int | None = None, key: str | None = None
    ) -> None:
        place = f"{file}:{line}: " if file and line else f"{file}: " if file else ""
        super().__init__(f"{place}{message}")
        self.file = file
        self.line = line
        self.key = key
        self.problem = message


class InvalidRequestError(BursarError):
    """The caller asked for something that cannot be sent; nothing was."""

    code = "invalid_request"


class RefusedError(BursarError):
    """Bursar refused the call before anything was sent; it costs nothing."""

    code = "refused"


class BudgetExceededError(RefusedError):
    """A budget cannot carry the most this call can cost.

    Amounts are nano-USD. `held` is money of calls in flight: when it is what binds, `retryable` is True and the call
    may come back as soon as they end; spent money comes back at `resets_at_ms` (epoch milliseconds), or never (None).
    subject: whose part of the budget it is, where it has one for each value of a dimension; "" for all.
    """

    code = "budget_exhausted"
    subject: str = ""

    def __init__(
        self,
        message: str,
        *,
        budget: str,
        window: str,
        needed_nano_usd: int,
        left_nano_usd: int,
        spent_nano_usd: int,
        held_nano_usd: int,
        limit_nano_usd: int,
        affordable_output_tokens: int | None = None,
        resets_at_ms: int | None = None,
        held: bool = False,
    ) -> None:
        super().__init__(message)
        self.budget = budget
        self.window = window
        self.needed_nano_usd = needed_nano_usd
        self.left_nano_usd = left_nano_usd
        self.spent_nano_usd = spent_nano_usd
        self.held_nano_usd = held_nano_usd
        self.limit_nano_usd = limit_nano_usd
        self.affordable_output_tokens = affordable_output_tokens
        self.resets_at_ms = resets_at_ms
        self.held = held
        self.retryable = held


class LimitExceededError(RefusedError):
    """A limit on requests, tokens or calls in flight binds. `retry_after_seconds` is None when it never will fit."""

    code = "rate_limit_exceeded"

    def __init__(
        self, message: str, *, limit: str, meter: str, needed: int, capacity: int, retry_after_seconds: float | None
    ) -> None:
        super().__init__(message)
        self.limit = limit
        self.meter = meter
        self.needed = needed
        self.capacity = capacity
        self.retry_after_seconds = retry_after_seconds
        self.retryable = retry_after_seconds is not None


class PriceUnknownError(RefusedError):
    """A budget applies to this call and a price it can reach is not known. The message holds the YAML to add."""

    code = "price_unknown"

    def __init__(self, message: str, *, models: tuple[str, ...]) -> None:
        super().__init__(message)
        self.models = models


class CircuitBreakerError(RefusedError):
    """The breaker of this provider and model is open: `retry_after_seconds` says when it may be asked again."""

    code = "circuit_open"
    retryable = True

    def __init__(self, message: str, *, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class QueueFullError(RefusedError):
    """As many calls as may wait are waiting already."""

    code = "queue_full"
    retryable = True


class ProviderError(BursarError):
    """The provider failed or refused. `sent` says whether bytes may have reached it."""

    code = "provider_error"
    sent = True

    def __init__(
        self,
        message: str,
        *,
        provider: str,
        model: str,
        status: int | None = None,
        provider_code: str | None = None,
        request_id: str | None = None,
        attempts: int = 1,
        body: bytes = b"",
    ) -> None:
        super().__init__(message)
        self.provider = provider
        self.model = model
        self.status = status
        self.provider_code = provider_code
        self.request_id = request_id
        self.attempts = attempts
        self.body = body


class ProviderRejectedError(ProviderError):
    """The provider refused the request itself (4xx). Asking again unchanged will not help."""

    code = "provider_rejected"


class ProviderAuthError(ProviderRejectedError):
    """The key is missing, wrong, or not allowed to do this (401, 403)."""

    code = "provider_auth"


class ContextTooLongError(ProviderRejectedError):
    """The request does not fit the model's context window."""

    code = "context_too_long"


class ContentBlockedError(ProviderRejectedError):
    """The provider's content policy refused the request or the answer."""

    code = "content_blocked"


class ModelNotFoundError(ProviderRejectedError):
    """The provider does not know the model, or this key may not use it."""

    code = "model_not_found"


class ProviderRateLimitError(ProviderError):
    """429: the provider's rate limit. `retry_after_seconds` when the provider said so."""

    code = "provider_rate_limited"
    retryable = True


class ProviderQuotaError(ProviderError):
    """The account at the provider has no money or quota left (402, 429 insufficient_quota)."""

    code = "provider_quota"


class ProviderUnavailableError(ProviderError):
    """The provider is down, overloaded, or cannot be reached."""

    code = "provider_unavailable"
    retryable = True


class ProviderTimeoutError(ProviderError):
    """A time limit passed: connection, pool, write, first byte, read, or the whole call."""

    code = "provider_timeout"
    retryable = True


class MalformedReplyError(ProviderError):
    """The provider answered with something that its wire format does not allow."""

    code = "malformed_reply"


class StreamInterruptedError(ProviderError):
    """A stream ended before it was complete. `reply` holds what arrived, with its metered cost."""

    code = "stream_interrupted"
    reply: Any = None


class StoreUnavailableError(BursarError):
    """The books cannot be read or written. Nothing is sent while that is so."""

    code = "store_unavailable"
    retryable = True
