"""What the exceptions of the two HTTP libraries mean, as the kinds of `call.exchange`.

Pure. Decides by class, never by message text, and puts no text of theirs but the operating system's into a detail: a
message of theirs can hold the URL, and a URL can hold a key.
Source: the exception trees of aiohttp 3.14 and httpcore2 2.16.
"""

from __future__ import annotations

import os
import socket
import ssl
from typing import NamedTuple

from bursar.call.exchange import FailedKind


class Ending(NamedTuple):
    """How an exchange failed; `sent` as in Failed."""

    kind: FailedKind
    sent: bool
    detail: str


def ending_of_aiohttp(error: BaseException, sent: bool) -> Ending:
    """What an exception out of aiohttp means, when `sent` says whether the request's first byte was written."""
    import aiohttp

    if isinstance(error, TimeoutError):  # SocketTimeoutError and ConnectionTimeoutError among them
        what = "the connection was not made" if not sent else "the provider was not heard or could not be written to"
        return Ending("timeout", sent, f"{what} within its limit on time")
    if isinstance(error, (aiohttp.ClientConnectorError, aiohttp.ClientHttpProxyError, aiohttp.InvalidURL)):
        return Ending("connect", False, f"no connection: {reason(error)}")
    if not sent and not isinstance(error, aiohttp.ClientConnectionError):
        return Ending("connect", False, f"no request could be made: {reason(error)}")
    return Ending("broken", sent, f"the exchange broke: {reason(error)}")


def ending_of_httpcore(error: BaseException, sent: bool) -> Ending:
    """What an exception out of httpcore2 means, when `sent` says whether the request's first byte was written."""
    import httpcore2

    if isinstance(error, (httpcore2.ConnectTimeout, httpcore2.PoolTimeout)):
        return Ending("timeout", False, "the connection was not made within its limit on time")
    if isinstance(error, (httpcore2.TimeoutException, TimeoutError)):
        return Ending("timeout", sent, "the provider was not heard or could not be written to within its limit on time")
    if isinstance(error, (httpcore2.ConnectError, httpcore2.ProxyError, httpcore2.UnsupportedProtocol)):
        return Ending("connect", False, f"no connection: {reason(error)}")
    if not sent and not isinstance(error, httpcore2.NetworkError):
        return Ending("connect", False, f"no request could be made: {reason(error)}")
    return Ending("broken", sent, f"the exchange broke: {reason(error)}")


def reason(error: BaseException) -> str:
    """The class of an error and, if the operating system is behind it, what that said.

    >>> reason(ConnectionRefusedError(111, "Connection refused"))
    'ConnectionRefusedError (Connection refused)'
    >>> reason(ValueError("https://example.com/?key=sk-1"))
    'ValueError'
    """
    behind: object = error
    while isinstance(behind, BaseException):
        if isinstance(behind, (ssl.SSLError, socket.gaierror)) and behind.strerror:
            return f"{type(error).__name__} ({behind.strerror})"
        # A failed look-up of a name has numbers of its own, below 0; what they say is further behind.
        if isinstance(behind, OSError) and behind.errno and behind.errno > 0:
            return f"{type(error).__name__} ({os.strerror(behind.errno)})"
        behind = getattr(behind, "os_error", None) or behind.__cause__ or (behind.args[0] if behind.args else None)
    return type(error).__name__
