"""The tables of docs/providers.md, made from the rows of the catalog.

python -m docs.rows    writes them anew; tests/docs/test_providers.py fails while they are behind
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from bursar.catalog.providers import Provider, known_rows

DOCUMENT = Path(__file__).parent / "providers.md"
BEGIN, END = "<!-- rows: {} -->", "<!-- end of rows -->"
# What people call the dialects.
SPOKEN: Mapping[str, str] = {
    "openai_chat": "chat",
    "embeddings": "embeddings",
    "openai_responses": "responses",
    "anthropic_messages": "messages",
}


def _key(row: Provider) -> str:
    if not row.key_variable:
        return "none"
    names = " or ".join(f"`{name}`" for name in row.key_variables)
    return names if row.needs_key else f"{names}, if the server wants one"


def _address(row: Provider) -> str:
    below = f" and `{row.base_path}`" if row.base_path else ""
    variable = f"`{row.base_url_variable}`{below}" if row.base_url_variable else ""
    if not row.base_url:
        return variable
    return f"{row.base_url}, or {variable}" if variable else row.base_url


def _spoken(row: Provider) -> str:
    return ", ".join(SPOKEN[dialect] for dialect in row.dialects)


def _pool(row: Provider) -> str:
    return f"{row.max_keepalive} of {row.max_connections}, for {row.keepalive_expiry:g} s; {row.read_timeout:g} s"


def _charged(row: Provider) -> str:
    if row.reports_cost:
        return "what it reports; else its list prices"
    return "its list prices" if row.price_provider else "what you say"


def _usage(row: Provider) -> str:
    if "openai_chat" not in row.dialects or not row.usage_field:
        return "comes unasked"
    return f"`{row.usage_field}`"


def _continuing(row: Provider) -> str:
    ways = {
        "": "is begun again",
        "plain": "goes on from the last message",
        "prefix": "goes on from a `prefix`",
        "continue_final_message": "goes on by `continue_final_message`",
    }
    return ways[row.prefill]


def _cancelling(row: Provider) -> str:
    if not row.cancel_stops_billing:
        return "is taken as billed in full"
    return f"may end the bill; `{row.records}` says what it was"


TABLES: Mapping[str, Mapping[str, Callable[[Provider], str]]] = {
    "reached": {
        "name": lambda row: f"`{row.name}`",
        "key": _key,
        "address": _address,
        "speaks": _spoken,
        "connections kept, at most; silence borne": _pool,
    },
    "billed": {
        "name": lambda row: f"`{row.name}`",
        "charged": _charged,
        "usage in streams": _usage,
        "a stream that is left": _cancelling,
        "one that broke off": _continuing,
        "token limits count": lambda row: "the claim" if row.settles == "reserved" else "the use",
        "rate headers": lambda row: f"as {row.rate_headers}" if row.rate_headers else "none known",
    },
}


def table(name: str) -> str:
    """One table, a line for each row of the catalog."""
    columns = TABLES[name]
    lines: Iterable[Iterable[str]] = (
        columns,
        ["---"] * len(columns),
        *([cell(row) for cell in columns.values()] for row in known_rows().values()),
    )
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def renewed(text: str) -> str:
    """The document with its tables as they must be. Raises ValueError when one has no place in it."""
    for name in TABLES:
        begin = BEGIN.format(name)
        start = text.index(begin) + len(begin)
        end = text.index(END, start)
        text = f"{text[:start]}\n\n{table(name)}\n\n{text[end:]}"
    return text


if __name__ == "__main__":
    DOCUMENT.write_text(renewed(DOCUMENT.read_text("utf-8")), "utf-8")
