"""What the demo shows while it runs: a live display on a terminal, plain lines elsewhere, nothing for --json.

Decides layout alone, for 80 columns. The figures come from the budget, the tally and the client's events.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import click

from bursar.cli.demo_run import Notice, usd
from bursar.rules.money import format_usd

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

BAR_COLUMNS = 46
PLAIN_EVERY_SECONDS = 1.0
STYLES = {"aborted": "magenta", "failed": "red", "waited": "yellow", "refused": "bold red"}


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the run stands: seconds from its start, nano-USD, and counts of calls."""

    seconds: float
    budget_nano_usd: int
    spent_nano_usd: int
    held_nano_usd: int
    calls: int
    ok: int
    in_flight: int
    waiting: int
    refused: int
    aborted: int
    failed: int

    @property
    def left_nano_usd(self) -> int:
        """What may still be claimed."""
        return self.budget_nano_usd - self.spent_nano_usd - self.held_nano_usd


@dataclass(frozen=True, slots=True)
class Counting:
    """Where the naive counter stands: what it believes was spent, and how many of the calls it has sent."""

    budget_nano_usd: int
    counted_nano_usd: int
    calls: int
    sent: int


class Screen(Protocol):
    """Shows a run. `show` may be called often; what `say` and `tell` put down stays. `end` has a style of its own."""

    def say(self, text: str = "", *, style: str = "", end: str = "", end_style: str = "") -> None: ...
    def tell(self, notice: Notice) -> None: ...
    def show(self, standing: Standing | Counting) -> None: ...


def notice_line(notice: Notice) -> str:
    """A notice in 80 columns."""
    return f"{notice.seconds:5.1f} s  {notice.kind:<8} {notice.model:<23} {notice.text}"


def calls_line(standing: Standing) -> str:
    """The counts in one line."""
    return (
        f"ok {standing.ok}   in flight {standing.in_flight}   waiting {standing.waiting}"
        f"   refused {standing.refused}   aborted {standing.aborted}   failed {standing.failed}"
    )


class SilentScreen:
    """For --json: the object is all there is."""

    def say(self, text: str = "", *, style: str = "", end: str = "", end_style: str = "") -> None:
        """Nothing."""

    def tell(self, notice: Notice) -> None:
        """Nothing."""

    def show(self, standing: Standing | Counting) -> None:
        """Nothing."""


class PlainScreen:
    """Lines, for files and pipes: the notices, and the standing once a second."""

    def __init__(self) -> None:
        self._next_seconds = PLAIN_EVERY_SECONDS

    def say(self, text: str = "", *, style: str = "", end: str = "", end_style: str = "") -> None:
        """A line."""
        click.echo(text + end)

    def tell(self, notice: Notice) -> None:
        """A line."""
        click.echo(notice_line(notice))

    def show(self, standing: Standing | Counting) -> None:
        """A line a second."""
        if isinstance(standing, Standing) and standing.seconds >= self._next_seconds:
            self._next_seconds = standing.seconds + PLAIN_EVERY_SECONDS
            money = f"spent {usd(standing.spent_nano_usd)}   held {usd(standing.held_nano_usd)}"
            click.echo(f"{standing.seconds:5.1f} s  {money}   left {usd(standing.left_nano_usd)}")
            click.echo(f"         {calls_line(standing)}")


class LiveScreen:
    """A display that is redrawn in place; notices scroll above it."""

    def __init__(self, console: Console) -> None:
        from rich.live import Live

        self._console = console
        self._live = Live(console=console, auto_refresh=False, transient=True)

    @contextmanager
    def live(self) -> Iterator[None]:
        """While it is drawn."""
        with self._live:
            yield

    def say(self, text: str = "", *, style: str = "", end: str = "", end_style: str = "") -> None:
        """A line that stays."""
        from rich.text import Text

        self._console.print(Text.assemble((text, style), (end, end_style)), highlight=False)

    def tell(self, notice: Notice) -> None:
        """A line that stays, above the display."""
        from rich.text import Text

        line = Text(notice_line(notice))
        line.stylize("dim", 0, 7)
        line.stylize(STYLES.get(notice.kind, ""), 9, 17)
        self._console.print(line, no_wrap=True, overflow="ellipsis")

    def show(self, standing: Standing | Counting) -> None:
        """Draw it."""
        self._live.update(self._drawn(standing), refresh=True)

    def _drawn(self, standing: Standing | Counting) -> RenderableType:
        from rich.console import Group
        from rich.text import Text

        budget = standing.budget_nano_usd
        label = f" budget {format_usd(budget)}  "
        if isinstance(standing, Counting):
            bar = _bar(label, budget, [(standing.counted_nano_usd, "red")])
            counted = f"its counter says {usd(standing.counted_nano_usd)}"
            return Group(Text(), bar, Text(f" {counted}   sent {standing.sent} of {standing.calls} calls"), Text())
        bar = _bar(label, budget, [(standing.spent_nano_usd, "green"), (standing.held_nano_usd, "yellow")])
        spent, held = (usd(standing.spent_nano_usd), "bold green"), (usd(standing.held_nano_usd), "bold yellow")
        money = Text.assemble(" spent ", spent, "   held ", held, "   left ", (usd(standing.left_nano_usd), "bold"))
        return Group(Text(), bar, money, Text(f" {calls_line(standing)}", no_wrap=True), Text())


def _bar(label: str, whole: int, parts: list[tuple[int, str]]) -> RenderableType:
    """A bar of the budget: what is taken in colours, the rest faint. It is full at the budget, however far beyond."""
    from rich.text import Text

    bar, begin, taken = Text(label), 0, 0
    for amount, style in parts:
        taken += amount
        end = min(taken * BAR_COLUMNS // max(whole, 1), BAR_COLUMNS)
        bar.append("█" * (end - begin), style)
        begin = end
    bar.append("░" * (BAR_COLUMNS - begin), "dim")
    return bar


@contextmanager
def open_screen(*, silent: bool) -> Iterator[Screen]:
    """The screen that stdout can carry."""
    if silent:
        yield SilentScreen()
        return
    from rich.console import Console

    console = Console()
    if not console.is_terminal or console.is_dumb_terminal:
        yield PlainScreen()
        return
    screen = LiveScreen(console)
    with screen.live():
        yield screen
