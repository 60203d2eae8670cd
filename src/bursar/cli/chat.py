"""`bursar chat`: one governed call. The answer goes to stdout, what it cost to stderr.

Streams where stdout is a terminal, unless told otherwise. Nothing is opened before the model and its key are known, so
that a typing mistake leaves no books behind.
"""

from __future__ import annotations

import os
import sys
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bursar.cli.asked import Call, asked_options, call_of
from bursar.cli.opening import load_settings
from bursar.cli.options import Rate, UsdPer, books_option, config_option, json_option
from bursar.cli.output import echo_json, for_terminal
from bursar.errors import BursarError, ConfigError

if TYPE_CHECKING:
    from bursar.client import Client
    from bursar.client.replies import Reply


@click.command("chat")
@click.argument("prompt", nargs=-1)
@asked_options
@click.option("--stream/--no-stream", default=None, help="As it is written, or at once. Default: on a terminal.")
@click.option("--timeout", type=click.FloatRange(min=0), metavar="SECONDS", help="For the whole call.")
@click.option("--max-wait", type=click.FloatRange(min=0), metavar="SECONDS", help="For money that other calls hold.")
@click.option(
    "--budget", type=UsdPer(), metavar="USD[/PERIOD]", help="Bind it by 5 (a day), or 20/month, over all calls."
)
@click.option("-q", "--quiet", is_flag=True, help="Say nothing of the cost.")
@config_option
@books_option
@json_option
def chat(
    prompt: tuple[str, ...],
    stream: bool | None,
    timeout: float | None,
    max_wait: float | None,
    budget: Rate | None,
    quiet: bool,
    config: Path | None,
    books: str | None,
    as_json: bool,
    **asked: Any,
) -> None:
    """Ask a model: PROMPT, or - for what stands on stdin.

    \b
    bursar chat --model openai/gpt-4o-mini "Name three rivers."
    bursar chat --max-cost 0.01 "Summarise this:" - < report.txt
    """
    call = call_of(prompt, **asked)
    check_callable(config, books, call.model)
    from bursar.client import Client

    given = {"timeout": timeout, "max_wait_seconds": max_wait}
    options = call.options | {name: value for name, value in given.items() if value is not None}
    with Client(config, budget_usd=budget and budget.usd, per=budget.period if budget else "day", books=books) as llm:
        if as_json:
            echo_json(_shown(llm.chat(call.messages, **options)))
            return
        streamed = sys.stdout.isatty() if stream is None else stream
        reply = _stream(llm, call, options) if streamed else _whole(llm, call, options)
        if not quiet and reply is not None:
            _receipt(reply)


def check_callable(config: Path | None, books: str | None, model: str | None) -> None:
    """Raise ConfigError where the model names nothing, or its provider has no key."""
    from bursar.config import resolve_model

    settings = load_settings(config, books)
    try:
        provider, _ = resolve_model(settings, model)
    except ConfigError as error:
        if model is None:
            raise ConfigError(f"{error}\nHere that is --model PROVIDER/MODEL.", key=error.key) from None
        raise
    settings.providers[provider].require_key()


def _whole(llm: Client, call: Call, options: dict[str, Any]) -> Reply:
    reply = llm.chat(call.messages, **options)
    click.echo(for_terminal(reply.text) or _wordless(reply))
    return reply


def _stream(llm: Client, call: Call, options: dict[str, Any]) -> Reply | None:
    started = False
    try:
        with llm.stream(call.messages, **options) as stream:
            for delta in stream:
                if delta.restarted:
                    click.echo()
                    click.echo("the answer broke off; it begins again", err=True)
                if delta.text:
                    click.echo(for_terminal(delta.text), nl=False)
                    started = True
            reply = stream.reply
    except (BursarError, KeyboardInterrupt):
        if started:
            click.echo()
        raise
    click.echo("" if started or reply is None else _wordless(reply))
    return reply


def _wordless(reply: Reply) -> str:
    """What is shown of an answer without text: its tool calls."""
    from bursar.cli.output import plain

    return "\n".join(plain(str(call.get("function", call))) for call in reply.tool_calls)


def _receipt(reply: Reply) -> None:
    used = f"{reply.usage.input_tokens:,} tokens in, {reply.usage.output_tokens:,} out"
    lines = [f"{reply.provider}/{reply.model}: {used}, {reply.cost}", *str(reply.receipt).split("; ")]
    colour = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    for line in lines:
        click.echo(click.style(f"- {line}", dim=True) if colour else f"- {line}", err=True)


def _shown(reply: Reply) -> dict[str, Any]:
    receipt = reply.receipt
    return {
        "call_id": reply.call_id,
        "provider": reply.provider,
        "model": reply.model,
        "text": reply.text,
        "tool_calls": reply.tool_calls,
        "finish_reason": reply.finish_reason,
        "usage": {
            "input_tokens": reply.usage.input_tokens,
            "output_tokens": reply.usage.output_tokens,
            **reply.usage.leaves,
        },
        "cost": {
            "nano_usd": reply.cost.nano_usd,
            "usd": _text(reply.cost.usd),
            "source": reply.cost.source,
            "certain": reply.cost.certain,
        },
        "receipt": {
            "held_nano_usd": receipt.held_nano_usd,
            "charged_nano_usd": receipt.charged_nano_usd,
            "certain": receipt.certain,
            "output_tokens_max": receipt.output_tokens_max,
            "capped_by": receipt.capped_by,
            "wait_ms": receipt.wait_ms,
            "settled": receipt.settled,
            "would_refuse": receipt.would_refuse,
            "budgets": [balance._asdict() | {"left": balance.left} for balance in receipt.budgets],
        },
    }


def _text(usd: Decimal | None) -> str | None:
    return None if usd is None else f"{usd:f}"
