"""The simulator's own pages, below /sim: the record, the bill, look-ups, switches and reset. No provider has these."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from aiohttp import web

from bursar.sim.exchange import Desk
from bursar.sim.faults import read_rules
from bursar.sim.record import keys_of, read_record
from bursar.sim.wallclock import iso, parse_moment


class ClockSetting(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A time in ISO 8601 to set the calendar to, then seconds to skip."""

    now: str | None = None
    advance_seconds: float = 0.0


def add_control_routes(app: web.Application, desk: Desk) -> None:
    """GET record, bill, requests/{id}, faults, clock, cancel; POST faults, clock, cancel, reset."""

    async def record(request: web.Request) -> web.StreamResponse:
        path = desk.config.record
        entries = desk.record.entries() if path is None else await asyncio.to_thread(read_record, path)
        return show(entries)

    async def bill(request: web.Request) -> web.StreamResponse:
        return show(desk.record.bill())

    async def find(request: web.Request) -> web.StreamResponse:
        name, path = request.match_info["id"], desk.config.record
        found = desk.record.find(name)
        if not found and path is not None:  # older than what is kept in memory
            found = [entry for entry in await asyncio.to_thread(read_record, path) if name in keys_of(entry)]
        return show(found)

    async def faults(request: web.Request) -> web.StreamResponse:
        return show(desk.faults.rules)

    async def set_faults(request: web.Request) -> web.StreamResponse:
        try:
            rules = read_rules(await request.read())
        except ValueError as error:
            return show({"error": str(error)}, status=400)
        desk.faults.enforce(rules)
        return show(desk.faults.rules)

    async def clock(request: web.Request) -> web.StreamResponse:
        return show({"now": iso(desk.wall.now_ms()), "now_ms": desk.wall.now_ms()})

    async def set_clock(request: web.Request) -> web.StreamResponse:
        try:
            setting = msgspec.json.decode(await request.read(), type=ClockSetting)
            if setting.now is not None:
                desk.wall.set(parse_moment(setting.now))
            desk.wall.advance(round(setting.advance_seconds * 1000))
        except ValueError as error:
            return show({"error": str(error)}, status=400)
        return await clock(request)

    async def cancel(request: web.Request) -> web.StreamResponse:
        return show(desk.cancel_stops)

    async def set_cancel(request: web.Request) -> web.StreamResponse:
        try:
            desk.switch_cancel(msgspec.json.decode(await request.read(), type=dict[str, bool]))
        except ValueError as error:
            return show({"error": str(error)}, status=400)
        return show(desk.cancel_stops)

    async def reset(request: web.Request) -> web.StreamResponse:
        desk.reset()
        return show(desk.record.bill())

    app.router.add_get("/sim/record", record)
    app.router.add_get("/sim/bill", bill)
    app.router.add_get("/sim/requests/{id}", find)
    app.router.add_get("/sim/faults", faults)
    app.router.add_post("/sim/faults", set_faults)
    app.router.add_get("/sim/clock", clock)
    app.router.add_post("/sim/clock", set_clock)
    app.router.add_get("/sim/cancel", cancel)
    app.router.add_post("/sim/cancel", set_cancel)
    app.router.add_post("/sim/reset", reset)


def show(body: Any, status: int = 200) -> web.StreamResponse:
    return web.Response(body=msgspec.json.encode(body), status=status, content_type="application/json")
