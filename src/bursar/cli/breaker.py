"""`bursar breaker`: which models are left alone by the processes that use these books, and asking them again at once.

Each process has circuit breakers of its own, in memory, and posts beside the books when one changes. A reset is asked
for in the same place; the processes that are concerned look there once a second.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bursar.cli.ending import EndedError
from bursar.cli.group import Lazy, LazyGroup
from bursar.cli.opening import has_books, load_settings, now_ms, open_books, require_books
from bursar.cli.options import books_option, config_option, json_option
from bursar.cli.output import Column, counted, draw, echo_json, iso, note

if TYPE_CHECKING:
    from bursar.call.breakers import BreakerBoard, Posted

# A process answers within a second, unless it is stopped or very busy.
PATIENCE_SECONDS = 5.0
LOOK_SECONDS = 0.1

_COMMANDS = {
    "list": Lazy("bursar.cli.breaker", "list_breakers", "Breakers that have opened, and until when."),
    "reset": Lazy("bursar.cli.breaker", "reset", "Close them: ask the provider again at once."),
}


class ListsByDefault(LazyGroup):
    """Reads `bursar breaker` as `bursar breaker list`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        bare = not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names)
        return super().parse_args(ctx, ["list", *args] if bare and not ctx.resilient_parsing else args)


@click.group("breaker", cls=ListsByDefault, lazy=_COMMANDS)
def breaker() -> None:
    """Models that are left alone because they fail: see them, and ask again at once. Alone it lists them."""


@click.command("list")
@config_option
@books_option
@json_option
def list_breakers(config: Path | None, books: str | None, as_json: bool) -> None:
    """Circuit breakers that have opened in processes that still run.

    open: calls are refused, or go to another model, until the next probe. half-open: a probe decides. closed: it is
    well again; shown for a day.
    """
    settings = load_settings(config, books)
    posted: list[Posted] = []
    at_ms = now_ms()
    if has_books(settings):
        with open_books(settings) as store:
            posted = store.board.posted(at_ms)
        if not posted:
            note("No circuit breaker has opened in the processes that use these books.")
    if as_json:
        echo_json([shown(one) for one in posted])
    elif posted:
        draw_posted(posted, at_ms)


@click.command("reset")
@click.argument("name", required=False, metavar="[PROVIDER[/MODEL]]")
@config_option
@books_option
@json_option
def reset(name: str | None, config: Path | None, books: str | None, as_json: bool) -> None:
    """Close the breakers of a model, those of a provider, or all of them, and wait until that is done.

    Processes do it within a second. Exits with 1 when one has not done so after five; it will when it goes on.
    """
    settings = load_settings(config, books)
    require_books(settings)
    provider, _, model = (name or "").partition("/")
    with open_books(settings) as store:
        asked = store.board.ask_reset(provider, model)
        waiting = wait_for(store.board, PATIENCE_SECONDS) if asked else []
    if waiting:
        pids = ", ".join(str(pid) for pid in sorted({one.pid for one in waiting}))
        raise EndedError(
            f"{len(waiting)} of {counted(asked, 'breaker')} not closed yet: no answer from process {pids}",
            code="no_answer",
            asked=asked,
            waiting=[shown(one) for one in waiting],
        )
    if as_json:
        echo_json({"closed": asked})
    elif asked:
        note(f"Closed {counted(asked, 'breaker')}.")
    else:
        note(f"No breaker{f' of {name}' if name else ''} is open: there is nothing to reset.")


def wait_for(board: BreakerBoard, patience_seconds: float) -> list[Posted]:
    """Wait until every reset that is asked for is done; those that are not when patience ends."""
    until = time.monotonic() + patience_seconds
    while waiting := [one for one in board.posted(now_ms()) if one.reset_asked]:
        if time.monotonic() >= until:
            break
        time.sleep(LOOK_SECONDS)
    return waiting


def draw_posted(posted: Sequence[Posted], at_ms: int) -> None:
    """A row a breaker of a process."""
    host = socket.gethostname()
    columns = [
        Column("breaker"),
        Column("state", whole=True),
        Column("since", number=True),
        Column("probe in", number=True),
        Column("process", whole=True),
        Column("why"),
    ]
    cells = []
    for process, pid, of_host, change, _ in posted:
        probe = {"open": span(change.until_ms - at_ms), "half_open": "now", "closed": "-"}[change.state]
        cells.append([
            f"{change.provider}/{change.model}",
            change.state.replace("_", "-"),
            span(at_ms - change.at_ms),
            probe,
            str(pid) if of_host == host else f"{pid} on {of_host or process}",
            change.why,
        ])  # fmt: skip
    draw(columns, cells)


def span(length_ms: int) -> str:
    """A length of time in its largest unit; "now" for none.

    >>> span(59_400), span(120_000), span(7_200_000), span(-5)
    ('60 s', '2 min', '2 h', 'now')
    """
    seconds = -(-length_ms // 1_000)
    if seconds <= 0:
        return "now"
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def shown(posted: Posted) -> dict[str, Any]:
    """A breaker of a process as JSON. until: when the next probe may go, null unless it is open."""
    change = posted.change
    return {
        "provider": change.provider,
        "model": change.model,
        "state": change.state,
        "since": iso(change.at_ms),
        "until": iso(change.until_ms) if change.state == "open" else None,
        "opened": change.opened,
        "why": change.why,
        "pid": posted.pid,
        "host": posted.host,
        "reset_asked": posted.reset_asked,
    }
