"""The command `bursar`: a table of commands, of which a module is imported only when its command is used.

Decides nothing: a name leads to a module and the command in it. The table has the one-line help of each, so that
`bursar --help` imports none of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, NamedTuple, cast

import click

from bursar import __version__
from bursar.cli.ending import ending

HELP_NAMES = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class Lazy(NamedTuple):
    """Where a command is, what it does in a line, and under which heading it is listed."""

    module: str
    name: str
    help: str
    heading: str = "Commands"


class LazyGroup(click.Group):
    """A group that knows its commands by name and help, and imports one when it is asked for."""

    def __init__(self, *args: Any, lazy: Mapping[str, Lazy], **options: Any) -> None:
        super().__init__(*args, **options)
        self.lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*self.lazy, *self.commands]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        lazy = self.lazy.get(cmd_name)
        if lazy is None:
            return super().get_command(ctx, cmd_name)
        return cast(click.Command, getattr(import_module(lazy.module), lazy.name))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name in self.list_commands(ctx) or name.startswith("-") or ctx.resilient_parsing:
            return super().resolve_command(ctx, args)
        from bursar.config.nearest import did_you_mean

        hint = did_you_mean(name, self.list_commands(ctx), "commands")
        raise click.UsageError(f"there is no command {name!r}; {hint}", ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        headings: dict[str, list[tuple[str, str]]] = {}
        for name, lazy in self.lazy.items():
            headings.setdefault(lazy.heading, []).append((name, lazy.help))
        for name, command in self.commands.items():
            headings.setdefault("Commands", []).append((name, command.get_short_help_str(80)))
        width = max((len(name) for rows in headings.values() for name, _ in rows), default=0)
        for heading, rows in headings.items():
            with formatter.section(heading):
                formatter.write_dl([(name.ljust(width), text) for name, text in rows])


class Root(LazyGroup):
    """The outermost group: here every error becomes an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        with ending(ctx):
            return super().invoke(ctx)


def group(lazy: Sequence[tuple[str, str, str]], module: str) -> dict[str, Lazy]:
    """The table of a group whose commands live beside it: (name, function, help)."""
    return {name: Lazy(module, function, text) for name, function, text in lazy}


def _command(name: str, text: str, heading: str) -> tuple[str, Lazy]:
    return name, Lazy(f"bursar.cli.{name}", name, text, heading)


COMMANDS = dict([
    _command("demo", "Watch a hard budget hold where a naive counter breaks.", "Start here"),
    _command("doctor", "What is wrong with this set-up, and how to mend it.", "Start here"),
    _command("config", "Write, check and show bursar.yaml.", "Start here"),
    _command("chat", "Ask a model, within the budgets.", "Calls"),
    _command("estimate", "What a call would use and cost, without making it.", "Calls"),
    _command("usage", "What was spent: by model, provider, key, user, tag, day.", "Money"),
    _command("budget", "Budgets: spent, held, left, and when they reset.", "Money"),
    _command("meter", "What captured responses cost: check a bill.", "Money"),
    _command("reconcile", "Settle what is uncertain; compare the books with a bill.", "Money"),
    _command("models", "Known models with their prices and output maxima.", "Money"),
    _command("prices", "A model's price, with its source and date.", "Money"),
    _command("serve", "Run the gateway: every program's calls, with a key and budgets each.", "Gateway"),
    _command("keys", "Keys of callers: make, list, change, rotate, revoke.", "Gateway"),
    _command("teams", "Teams of keys, and what each may spend.", "Gateway"),
    _command("breaker", "Models that are left alone because they fail; reset them.", "Tools"),
    _command("db", "Check, back up and prune the books.", "Tools"),
    _command("sim", "Run a provider to practise on.", "Tools"),
    _command("completion", "Print a completion script for a shell.", "Tools"),
])  # fmt: skip


@click.group(cls=Root, lazy=COMMANDS, context_settings=HELP_NAMES)
@click.version_option(__version__, "-V", "--version", message="bursar %(version)s")
def cli() -> None:
    """Bursar pays your LLM bills, and never a cent more than allowed.

    Keys come from the environment (OPENAI_API_KEY, OPENROUTER_API_KEY, ...) or from bursar.yaml, never from the
    command line. `bursar COMMAND --help` says what a command takes.
    """
