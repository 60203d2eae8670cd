"""The table of faults: what a provider may do to a call, and the outcome that its user wants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from bursar.config.tree import AfterFirstToken
from bursar.errors import (
    BursarError,
    MalformedReplyError,
    ProviderQuotaError,
    ProviderRateLimitError,
    ProviderRejectedError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    StreamInterruptedError,
)

Shape = Literal["whole", "streamed"]
SHAPES: tuple[Shape, ...] = ("whole", "streamed")


@dataclass(frozen=True)
class Fault:
    """One way to fail, at a provider that is asked for one attempt.

    error: what its user gets; None where the reply is good all the same. certain: whether the books know what it cost.
    health: what its breaker counts it as. sim: the fault, as the simulator is told it; wire: as `failing_server` calls
    it; base_url: an address without a provider behind it. shapes: how it can be asked for at all. streamed: the error
    of a stream, where that is another. begun: a stream has shown some of the reply before it breaks, so that its user
    gets that, and nobody else can answer in its place unless the route says so. keys: of the provider's configuration.
    heavy: takes memory.
    """

    name: str
    error: type[BursarError] | None
    certain: bool
    health: Literal["success", "failure", "ignored"]
    sim: str = ""
    wire: str = ""
    base_url: str = ""
    shapes: tuple[Shape, ...] = SHAPES
    streamed: type[BursarError] | None = None
    begun: bool = False
    sent: bool = True
    retry_after_seconds: float | None = None
    keys: Mapping[str, Any] = field(default_factory=dict, hash=False)
    heavy: bool = False

    def error_of(self, shape: Shape) -> type[BursarError] | None:
        """What the user of one candidate gets."""
        if shape == "whole":
            return self.error
        return StreamInterruptedError if self.begun else self.streamed or self.error

    def replaceable(self, shape: Shape, how: AfterFirstToken = "never") -> bool:
        """Whether another candidate can answer in its place. `how`: what the route says of streams that had begun."""
        return self.error is not None and not (self.begun and shape == "streamed" and how == "never")

    def __str__(self) -> str:
        return self.name.replace(" ", "-")


# Time enough for a reply to begin, on a machine that is busy with all the others at the same time.
SOON = {"read_timeout": 1.0}
LIMITED, QUOTA = ProviderRateLimitError, ProviderQuotaError
DOWN, LATE, MALFORMED = ProviderUnavailableError, ProviderTimeoutError, MalformedReplyError

FAULTS = (
    Fault("429", LIMITED, True, "ignored", "status:429"),
    Fault("429 with seconds", LIMITED, True, "ignored", "status:429,retry_after=7", retry_after_seconds=7),
    Fault("429 with a date", LIMITED, True, "ignored", wire="rate_limited_until", retry_after_seconds=1),
    Fault("429 with milliseconds", LIMITED, True, "ignored", wire="rate_limited_for_milliseconds",
          retry_after_seconds=0.02),
    Fault("429 for quota", QUOTA, True, "ignored", "status:429,code=insufficient_quota"),
    Fault("402 to come back", LIMITED, True, "ignored", "status:402,retry_after=3", retry_after_seconds=3),
    Fault("402", QUOTA, True, "ignored", "status:402"),
    Fault("408", LATE, True, "ignored", "status:408"),
    Fault("500", DOWN, True, "failure", "status:500"),
    Fault("502", DOWN, False, "failure", "status:502"),
    Fault("503", DOWN, True, "failure", "status:503"),
    Fault("504", DOWN, False, "failure", "status:504"),
    Fault("529", DOWN, True, "failure", "status:529"),
    Fault("refused connection", DOWN, True, "failure", base_url="http://127.0.0.1:1/v1", sent=False),
    Fault("DNS failure", DOWN, True, "failure", base_url="http://nowhere.invalid/v1", sent=False),
    Fault("TLS failure", DOWN, True, "failure", wire="plain", sent=False),
    Fault("closed without a byte", DOWN, False, "failure", "refuse"),
    Fault("reset before the headers", DOWN, False, "failure", wire="reset_before_the_head"),
    Fault("reset after the headers", DOWN, False, "failure", wire="reset_after_the_head"),
    Fault("reset before output", DOWN, False, "failure", wire="reset_before_output"),
    Fault("reset in mid-stream", DOWN, False, "failure", wire="reset_in_mid_stream", begun=True),
    Fault("no answer at all", LATE, False, "failure", wire="no_answer", keys=SOON),
    Fault("slow first byte", LATE, False, "failure", "stall:30", keys=SOON),
    Fault("slow first token", LATE, False, "failure", wire="no_first_token", keys={"first_token_timeout": 1.0, **SOON}),
    Fault("stall in mid-stream", LATE, False, "failure", "stall:30,after_chunks=2", keys=SOON, begun=True),
    Fault("stall after the first token", LATE, False, "failure", "stall:30,after_chunks=2", shapes=("streamed",),
          keys={"stall_timeout": 1.0}, begun=True),
    Fault("cut before the last chunk", DOWN, False, "failure", "truncate", begun=True),
    Fault("no [DONE]", None, True, "success", "no_done"),
    Fault("error chunk inside 200", DOWN, False, "failure", "error_in_stream"),
    Fault("error chunk after output", DOWN, False, "failure", "error_in_stream:2", shapes=("streamed",), begun=True),
    Fault("malformed JSON", MALFORMED, False, "failure", "malformed_json"),
    Fault("malformed JSON after output", MALFORMED, False, "failure", "malformed_json:2", shapes=("streamed",),
          begun=True),
    Fault("wrong content type", None, True, "success", "wrong_content_type"),
    Fault("empty body", MALFORMED, False, "failure", "empty", streamed=DOWN),
    Fault("HTML error page", DOWN, True, "failure", "html:503"),
    Fault("HTML page with 200", MALFORMED, False, "failure", wire="html_page"),
    Fault("whole reply to a stream", MALFORMED, True, "failure", wire="whole_reply", shapes=("streamed",)),
    Fault("oversized body", MALFORMED, False, "failure", wire="oversized", heavy=True),
    Fault("endless line", MALFORMED, False, "failure", wire="endless_line", heavy=True),
    Fault("gzip bomb", MALFORMED, False, "failure", wire="gzip_bomb", heavy=True),
    Fault("redirect", ProviderRejectedError, True, "ignored", wire="redirect"),
    Fault("200 with an error object", DOWN, False, "failure", wire="error_body"),
    Fault("duplicate chunks", None, True, "success", "duplicate_chunks"),
    Fault("usage missing", None, False, "success", "missing_usage"),
    Fault("usage negative", None, False, "success", "absurd_usage:negative"),
    Fault("usage enormous", None, False, "success", "absurd_usage:enormous"),
)  # fmt: skip
