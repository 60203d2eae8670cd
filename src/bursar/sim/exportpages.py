"""GET /sim/exports: the bill in the forms that providers hand it out, from everything that is on record.

openai-costs and openai-usage take `provider` (openai), `start_time` and `end_time` in seconds; openai-costs takes
`group_by=line_item`. openrouter-activity is the website's CSV, or with `format=json` what GET activity shows, today
included. csv is every billed request of one `provider` or of all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from aiohttp import web

from bursar.sim import exports
from bursar.sim.activity import activity_rows
from bursar.sim.control import show
from bursar.sim.exchange import Desk
from bursar.sim.record import Entry, read_record


def add_export_routes(app: web.Application, desk: Desk) -> None:
    """Mount the exports below /sim/exports."""

    async def entries(provider: str | None) -> list[Entry]:
        path = desk.config.record
        found = desk.record.entries() if path is None else await asyncio.to_thread(read_record, path)
        return [entry for entry in found if provider in (None, entry.provider)]

    async def openai_costs(request: web.Request) -> web.StreamResponse:
        by_line_item = "line_item" in request.query.getall("group_by", []) + request.query.getall("group_by[]", [])

        def results(day: Sequence[Entry]) -> list[dict[str, object]]:
            return exports.cost_results(day, desk.served_name, by_line_item=by_line_item)

        start, end = bounds(request)
        found = await entries(request.query.get("provider", "openai"))
        return show(exports.daily_page(found, results, start=start, end=end))

    async def openai_usage(request: web.Request) -> web.StreamResponse:
        def results(day: Sequence[Entry]) -> list[dict[str, object]]:
            return exports.usage_results(day, desk.served_name)

        start, end = bounds(request)
        found = await entries(request.query.get("provider", "openai"))
        return show(exports.daily_page(found, results, start=start, end=end))

    async def openrouter_activity(request: web.Request) -> web.StreamResponse:
        found = await entries("openrouter")
        if request.query.get("format") == "json":
            return show({"data": activity_rows(found, desk.served_name)})
        return sheet(exports.activity_csv(found, desk.served_name))

    async def plain(request: web.Request) -> web.StreamResponse:
        return sheet(exports.plain_csv(await entries(request.query.get("provider")), desk.served_name))

    app.router.add_get("/sim/exports/openai-costs", openai_costs)
    app.router.add_get("/sim/exports/openai-usage", openai_usage)
    app.router.add_get("/sim/exports/openrouter-activity", openrouter_activity)
    app.router.add_get("/sim/exports/csv", plain)


def bounds(request: web.Request) -> tuple[int, int | None]:
    """start_time and end_time in seconds. Raises HTTPBadRequest where one is no whole number."""
    found = [request.query.get(name) for name in ("start_time", "end_time")]
    if any(text is not None and not text.isdecimal() for text in found):
        raise web.HTTPBadRequest(text="start_time and end_time are whole seconds since 1970")
    start, end = (None if text is None else int(text) for text in found)
    return start or 0, end


def sheet(body: bytes) -> web.StreamResponse:
    return web.Response(body=body, content_type="text/csv", charset="utf-8")
