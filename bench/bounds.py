"""How near the bound and the estimate of a call's input come to what providers reported.

    BURSAR_RECORDINGS=FOLDER python -m bench.bounds [--json]

bound: the least margin in tokens over every recording without tools of the provider's own (below 0 would be a breach),
and the median of bound / fact for text, by UTF-8 bytes and, where the vocabulary is the model's own, by its tokens. An
allowance of 128 tokens, and of 1,024 more with tools, covers what providers add out of sight; recorded prompts are
short, so the medians are given for those of 300 tokens and more as well.
text: the same for chats of 4 KB and more made of files of this repository, whose fact is the exact count.
estimate: the median error in percent of the estimate that rate limits are checked by, as it comes from the wire, and
corrected by the calls before it of the same provider, model and use of tools.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from bench.report import arguments, show
from bursar.catalog.models import context_window, server_tools
from bursar.catalog.providers import provider_row
from bursar.catalog.tokens import count_at_most, count_messages, own_vocabularies
from bursar.errors import InvalidRequestError
from bursar.rules.calibration import Calibration, Series
from bursar.wire.dialect import Dialect, Request
from bursar.wire.dialects import dialect_at

ROOT = Path(__file__).resolve().parents[1]
FILES = ("docs/budgets.md", "src/bursar/rules/allowances.py", "src/bursar/catalog/models.toml", "LICENSE")
TEXT_MODEL = "gpt-4o"
# What is bounded otherwise than as text.
NO_TEXT = ("image", "image_url", "input_image", "file", "input_file", "document", "input_audio", "computer_screenshot")
LONG_TOKENS = 300


class Recorded(NamedTuple):
    """A recorded request beside what the provider reported."""

    provider: str
    model: str
    tools: bool
    bounded: bool
    text: bool
    fact: int
    likely: int
    by_bytes: int
    by_tokens: int | None


def recordings(folder: Path) -> Iterator[Recorded]:
    """Every exchange that carries usage, in the order of the files."""
    for file in sorted(folder.glob("*/*.json")):
        recording = json.loads(file.read_text("utf-8"))
        dialect = dialect_at(recording["path"].partition("#")[0])
        if dialect is None or recording["response"]["status"] >= 400 or "note" in recording["request"]:
            continue
        with contextlib.suppress(InvalidRequestError):  # not a request that we would send
            measured = _measured(recording, dialect)
            if measured.fact:
                yield measured


def _fact(recording: dict[str, Any], dialect: Dialect, request: Request) -> int:
    """The input tokens that the provider reported; 0 where it reported none."""
    response = recording["response"]
    reader, reply = dialect.reader(request), response["body"].encode()
    if "event-stream" in response["content_type"]:
        reader.feed(reply)
        usage = reader.metered().usage
    else:
        usage = dialect.meter(reply).usage
    return usage.input_tokens if usage else 0


def _measured(recording: dict[str, Any], dialect: Dialect) -> Recorded:
    provider, asked = recording["provider"], recording["request"]
    request = dialect.parse(json.dumps(asked, ensure_ascii=False, separators=(",", ":")).encode())
    models = (request.model, *request.reaches)
    context_tokens = context_window(provider, request.model)
    size = partial(dialect.size, request, output_tokens_min=1, output_tokens_max=2, context_tokens=context_tokens)
    vocabularies = own_vocabularies(provider_row(provider).price_provider, models)
    by_bytes = size()
    by_tokens = size(count=lambda text: count_at_most(text, vocabularies)) if vocabularies else None
    text = not any(f'"type": "{kind}"' in json.dumps(asked) for kind in NO_TEXT)
    return Recorded(
        provider,
        request.model,
        bool(asked.get("tools")),
        not (request.unbounded or server_tools(provider, request.model)),
        text and by_bytes.input_tokens_max < context_tokens,
        _fact(recording, dialect, request),
        by_bytes.input_tokens_likely,
        by_bytes.input_tokens_max,
        by_tokens.input_tokens_max if by_tokens else None,
    )


def bounds(calls: list[Recorded]) -> dict[str, Any]:
    """By provider: calls compared, the least margins, and the median ratios for text, of all and of the long ones."""
    figures: dict[str, Any] = {}
    for provider, own in _by_provider([call for call in calls if call.bounded]).items():
        figures[provider] = {"bytes": _compared([(call.by_bytes, call) for call in own])}
        counted = [(call.by_tokens, call) for call in own if call.by_tokens is not None]
        if counted:
            figures[provider]["bytes_of_counted"] = _compared([(call.by_bytes, call) for _, call in counted])
            figures[provider]["tokens"] = _compared(counted)
    return figures


def _compared(pairs: list[tuple[int, Recorded]]) -> dict[str, float | int | None]:
    text = [(bound / call.fact, call) for bound, call in pairs if call.text]
    long = [ratio for ratio, call in text if call.fact >= LONG_TOKENS]
    return {
        "calls": len(pairs),
        "least_margin_tokens": min(bound - call.fact for bound, call in pairs),
        "text": len(text),
        "median": round(median(ratio for ratio, _ in text), 2) if text else None,
        "long": len(long),
        "median_of_long": round(median(long), 2) if long else None,
    }


def texts() -> dict[str, Any]:
    """Bound / fact of chats that are one file each."""
    figures = {}
    dialect = dialect_at("/chat/completions")
    assert dialect is not None
    vocabularies = own_vocabularies("openai", (TEXT_MODEL,))
    for name in FILES:
        messages = [{"role": "user", "content": (ROOT / name).read_text("utf-8")}]
        fact = count_messages(messages, TEXT_MODEL)
        request = dialect.parse(json.dumps({"model": TEXT_MODEL, "messages": messages}, ensure_ascii=False).encode())
        size = partial(dialect.size, request, output_tokens_min=1, output_tokens_max=2)
        counted = size(count=lambda text: count_at_most(text, vocabularies)).input_tokens_max
        figures[name] = {
            "tokens": fact,
            "by_bytes": round(size().input_tokens_max / fact, 2),
            "by_tokens": round(counted / fact, 2),
        }
    return figures


def estimates(calls: list[Recorded]) -> dict[str, Any]:
    """By provider: the median error of the estimates of calls that had one like them before."""
    calibration = Calibration()
    errors: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for call in calls:
        series = Series(call.provider, call.model, call.tools)
        likely = calibration.likely(series, call.likely)
        if likely != calibration.likely(Series("", "", tools=False), call.likely):
            error = (abs(estimate / call.fact - 1) for estimate in (call.likely, likely.input_tokens))
            errors[call.provider].append((next(error), next(error)))
        calibration.learn(series, estimated_tokens=call.likely, input_tokens=call.fact, output_tokens=0)
    return {
        provider: {
            "calls": len(pairs),
            "median_error_percent": round(100 * median(before for before, _ in pairs), 1),
            "calibrated": round(100 * median(after for _, after in pairs), 1),
        }
        for provider, pairs in sorted({**errors, "all": [one for some in errors.values() for one in some]}.items())
    }


def _by_provider(calls: list[Recorded]) -> dict[str, list[Recorded]]:
    grouped: dict[str, list[Recorded]] = {"all": calls}
    for call in calls:
        grouped.setdefault(call.provider, []).append(call)
    return grouped


def main() -> None:
    asked = arguments(__doc__).parse_args()
    folder = os.environ.get("BURSAR_RECORDINGS")
    if not folder:
        sys.exit("BURSAR_RECORDINGS names no folder of recorded exchanges")
    calls = list(recordings(Path(folder)))
    found = bounds(calls)
    figures: dict[str, Any] = {"never_below_the_fact": found["all"]["bytes"]["least_margin_tokens"] >= 0}
    figures["never_below_the_fact_by_tokens"] = found["all"]["tokens"]["least_margin_tokens"] >= 0
    figures |= {f"bound {name}, {way}": row for name, ways in found.items() for way, row in ways.items()}
    figures |= {f"text {name}": row for name, row in texts().items()}
    figures |= {f"estimate {name}": row for name, row in estimates(calls).items()}
    show("bounds", figures, as_json=asked.json)


if __name__ == "__main__":
    main()
