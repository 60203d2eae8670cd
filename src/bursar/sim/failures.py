"""What can be wrong with a request, before a provider's own words are put on it.

A Failure is a status, a code and a message; each provider's form encodes it. Never decides who is billed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn


@dataclass(frozen=True, slots=True)
class Failure:
    """A refusal. `kind` is OpenAI's `type`; `retry_after_ms` is None where coming back is no use; `subject` is the
    model that is unknown, `limit` the rate that is reached.
    """

    status: int
    code: str | None
    message: str
    kind: str = "invalid_request_error"
    param: str | None = None
    retry_after_ms: int | None = None
    subject: str = ""
    limit: int | None = None


class RefusedRequestError(Exception):
    """Carries a Failure out of parsing and admission; never leaves the simulator."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def no_key() -> Failure:
    message = "You didn't provide an API key. Provide it in an Authorization header using Bearer auth."
    return Failure(401, None, message)


def wrong_key(key: str) -> Failure:
    shown = key[:4] + "*" * 8 + key[-2:] if len(key) > 12 else "*" * 8
    return Failure(401, "invalid_api_key", f"Incorrect API key provided: {shown}.")


def unknown_model(name: str) -> Failure:
    message = f"The model `{name}` does not exist or you do not have access to it."
    return Failure(404, "model_not_found", message, subject=name)


def invalid(message: str, param: str | None = None, code: str | None = None, status: int = 400) -> Failure:
    return Failure(status, code, message, param=param)


def refuse(message: str, param: str | None = None, code: str | None = None) -> NoReturn:
    """Raise the refusal of a request that is not understood, with 400."""
    raise RefusedRequestError(invalid(message, param, code))


_BY_STATUS: dict[int, tuple[str, str | None, str]] = {
    400: ("invalid_request_error", "invalid_request", "The request was not understood."),
    401: ("invalid_request_error", "invalid_api_key", "Incorrect API key provided: ********."),
    402: ("insufficient_quota", "insufficient_credits", "This account has insufficient credits."),
    403: ("permission_error", "forbidden", "You are not allowed to use this resource."),
    404: ("invalid_request_error", "not_found", "The resource was not found."),
    408: ("timeout", "request_timeout", "The request took too long."),
    409: ("conflict", "conflict", "The resource is being changed by another request."),
    413: ("invalid_request_error", "request_too_large", "The request is too large."),
    422: ("invalid_request_error", "unprocessable", "The request could not be processed."),
    429: ("requests", "rate_limit_exceeded", "Rate limit reached. Please try again later."),
    500: ("server_error", "server_error", "The server had an error while processing your request. Sorry about that!"),
    502: ("server_error", "bad_gateway", "Bad gateway."),
    503: ("server_error", "server_is_overloaded", "The server is overloaded. Please try again later."),
    504: ("server_error", "gateway_timeout", "Gateway timeout."),
    524: ("server_error", "origin_timeout", "A timeout occurred."),
    529: ("overloaded_error", "overloaded", "Overloaded."),
}


def from_status(status: int, code: str | None = None, retry_after_ms: int | None = None) -> Failure:
    """The failure a provider would give with this status; `insufficient_quota` has its own type."""
    unlisted = ("server_error" if status >= 500 else "api_error", None, f"Status {status}.")
    kind, usual, message = _BY_STATUS.get(status, unlisted)
    if code == "insufficient_quota":
        kind = "insufficient_quota"
        message = "You exceeded your current quota, please check your plan and billing details."
    return Failure(status, code or usual, message, kind=kind, retry_after_ms=retry_after_ms)
