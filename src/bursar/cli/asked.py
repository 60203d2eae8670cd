"""What `chat` and `estimate` have in common: how a call is described on the command line."""

from __future__ import annotations

import sys
from decimal import Decimal
from typing import Any, NamedTuple

import click

from bursar.cli.options import Pair, Usd, together

STDIN = "-"


class Call(NamedTuple):
    """A call: its messages in OpenAI's form, its model (None for the default), and the arguments of `Client.chat`."""

    messages: list[dict[str, str]]
    model: str | None
    options: dict[str, Any]


asked_options = together(
    click.option("-m", "--model", metavar="MODEL", help="provider/model, or a route; else the default model."),
    click.option("--system", metavar="TEXT", help="A system message before the prompt."),
    click.option("--max-tokens", type=click.IntRange(min=1), metavar="N", help="The most tokens to write."),
    click.option("--max-cost", type=Usd(), metavar="USD", help="The most that this call may cost."),
    click.option("--tag", "tags", type=Pair(), multiple=True, metavar="NAME=VALUE", help="Count it under; repeatable."),
    click.option("--user", metavar="NAME", help="Count it under this user."),
    click.option("--session", metavar="ID", help="Count it under this session."),
)
"""What is asked, and under which names it is counted."""


def call_of(
    prompt: tuple[str, ...],
    *,
    model: str | None,
    system: str | None,
    max_tokens: int | None,
    max_cost: Decimal | None,
    tags: tuple[tuple[str, str], ...],
    user: str | None,
    session: str | None,
) -> Call:
    """Make the call. Words of the prompt are joined by blanks; what comes from stdin stands apart."""
    text = _text_of(prompt)
    if not text.strip():
        raise click.UsageError("there is no prompt; give one, or - to read it from stdin", click.get_current_context())
    messages = [{"role": "system", "content": system}] if system else []
    messages.append({"role": "user", "content": text})
    options = {
        "model": model,
        "max_tokens": max_tokens,
        "max_cost_usd": max_cost,
        "tags": dict(tags) or None,
        "user": user,
        "session": session,
    }
    return Call(messages, model, {name: value for name, value in options.items() if value is not None})


def _text_of(prompt: tuple[str, ...]) -> str:
    if prompt.count(STDIN) > 1:
        raise click.UsageError("stdin can be read only once", click.get_current_context())
    if STDIN not in prompt:
        return " ".join(prompt)
    at = prompt.index(STDIN)
    stdin = sys.stdin.buffer.read().decode("utf-8", "replace")
    parts = (" ".join(prompt[:at]), stdin, " ".join(prompt[at + 1 :]))
    return "\n\n".join(part for part in parts if part)
