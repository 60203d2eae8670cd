"""What the gateway itself has to say no to, before or beside a call: a status, a code, a sentence."""

from __future__ import annotations

from collections.abc import Mapping


class Problem(Exception):  # noqa: N818 - an answer like any other
    """An answer that is no success and no error of a call.

    status: of HTTP. code: in OpenAI's `error.code`. headers: further ones, such as Allow. particulars: what programs
    may want to read, in the body's `error.bursar`.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        headers: tuple[tuple[bytes, bytes], ...] = (),
        particulars: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers
        self.particulars = particulars or {}
