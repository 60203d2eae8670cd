"""What an exception means, and what of it may be said."""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys

import aiohttp
import httpcore2
import pytest
from aiohttp.client_reqrep import ConnectionKey

from bursar.edges.http.endings import ending_of_aiohttp, ending_of_httpcore, reason

SECRET = "sk-very-secret"


def looked_up(behind: OSError) -> aiohttp.ClientConnectorDNSError:
    """A name that was not found, as aiohttp says it."""
    key = ConnectionKey("nowhere.invalid", 443, True, True, None, None, None)
    return aiohttp.ClientConnectorDNSError(key, behind)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError(SECRET), "ValueError"),
        (aiohttp.InvalidURL(f"http://{SECRET}"), "InvalidURL"),
        (socket.gaierror(-2, "Name or service not known"), "gaierror (Name or service not known)"),
        (
            looked_up(socket.gaierror(-2, "Name or service not known")),
            "ClientConnectorDNSError (Name or service not known)",
        ),
        (httpcore2.ConnectError(ConnectionRefusedError(111, SECRET)), "ConnectError (Connection refused)"),
        (httpcore2.ReadError(SECRET), "ReadError"),
        (ssl.SSLError(1, "certificate verify failed"), "SSLError (certificate verify failed)"),
    ],
)
def test_the_reason_of_an_error_holds_no_text_of_a_request(error: Exception, said: str) -> None:
    assert reason(error) == said


@pytest.mark.parametrize("sent", [False, True])
def test_a_class_says_what_it_is(sent: bool) -> None:
    assert ending_of_aiohttp(aiohttp.SocketTimeoutError(), sent)[:2] == ("timeout", sent)
    assert ending_of_aiohttp(aiohttp.ConnectionTimeoutError(), sent)[:2] == ("timeout", sent)
    assert ending_of_aiohttp(aiohttp.ServerDisconnectedError(), sent)[:2] == ("broken", sent)
    assert ending_of_aiohttp(aiohttp.ClientOSError(), sent)[:2] == ("broken", sent)
    assert ending_of_httpcore(httpcore2.ReadTimeout(), sent)[:2] == ("timeout", sent)
    assert ending_of_httpcore(httpcore2.WriteTimeout(), sent)[:2] == ("timeout", sent)
    assert ending_of_httpcore(httpcore2.ConnectTimeout(), sent)[:2] == ("timeout", False)
    assert ending_of_httpcore(httpcore2.ReadError(), sent)[:2] == ("broken", sent)
    assert ending_of_httpcore(httpcore2.ProxyError(), sent)[:2] == ("connect", False)


def test_nothing_heavy_is_imported_before_it_is_used() -> None:
    code = (
        "import sys, bursar.edges.http as http; http.AsyncTransport(); http.BlockingTransport();"
        "print([name for name in ('aiohttp', 'httpx2', 'httpcore2', 'yarl', 'urllib.request') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout.strip() == "[]"
