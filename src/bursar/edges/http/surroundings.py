"""What both colours heed alike: the machine's proxies, certificates and clock, and what is read of a reply.

Proxies are looked up here, once for each address, because both libraries would look on every request (aiohttp in two
threads, and for passwords in `.netrc` as well, which must never replace an API key).
Source: the variables http_proxy, https_proxy, all_proxy and no_proxy as urllib reads them; SSL_CERT_FILE, SSL_CERT_DIR.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    import ssl

DEFAULT_HEADERS = {"Accept": "*/*", "Accept-Encoding": "gzip, deflate", "User-Agent": "bursar"}
MAX_ADDRESSES = 256  # remembered; providers have a handful, a gateway's paths could be anything
# How a limit on time is told.
DEADLINE_PASSED = "the deadline passed before the reply was whole"
FIRST_TOKEN_LATE = "the first token did not come in time"
PIECE_BYTES = 65_536  # of a request written at once: what a write timeout is for


def lower_headers(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Headers by lower-case name; one that came several times is joined with a comma, as HTTP allows."""
    lower: dict[str, str] = {}
    for name, value in headers:
        key = name.lower()
        lower[key] = f"{lower[key]}, {value}" if key in lower else value
    return lower


@dataclass(frozen=True, slots=True)
class BodyBounds:
    """How much of a reply is read. Bytes, after decoding.

    whole_bytes: of a reply below status 400, streamed or not; more fails. error_bytes: of any other; the rest is cut.
    """

    whole_bytes: int = 64 * 1024 * 1024
    error_bytes: int = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy without its credentials, and the value of Proxy-Authorization that they make."""

    url: str
    authorization: str | None


def proxy_for(url: str) -> Proxy | None:
    """The proxy that the environment names for `url`. ValueError when it is none that can be used."""
    from urllib.request import getproxies, proxy_bypass

    target = urlsplit(url)
    proxies = getproxies()
    named = proxies.get(target.scheme) or proxies.get("all")
    if not named or not target.hostname or proxy_bypass(target.hostname):
        return None
    proxy = urlsplit(named if "://" in named else f"http://{named}")
    if proxy.scheme not in ("http", "https") or not proxy.hostname:
        raise ValueError(f"the environment names a proxy of scheme {proxy.scheme!r}; only http and https are supported")
    _, _, place = proxy.netloc.rpartition("@")
    if proxy.username is None:
        return Proxy(f"{proxy.scheme}://{place}", None)
    credentials = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}".encode()
    return Proxy(f"{proxy.scheme}://{place}", "Basic " + base64.b64encode(credentials).decode())


def default_tls() -> ssl.SSLContext:
    """Certificates of the system or of SSL_CERT_FILE. About 20 ms: once for each transport, never for each request."""
    import httpcore2

    context = httpcore2.default_ssl_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


def wall_ms() -> int:
    """Epoch milliseconds now."""
    return time.time_ns() // 1_000_000
