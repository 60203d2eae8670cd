"""Either colour of transport, and a provider to ask."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.edges.http.provider import COLOURS, Making, Provider, clients, providing


@pytest.fixture(autouse=True)
def no_proxy_of_the_developer(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(params=sorted(COLOURS))
async def making(request: pytest.FixtureRequest) -> AsyncIterator[Making]:
    async with clients(request.param) as make:
        yield make


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    async with providing() as one:
        yield one
