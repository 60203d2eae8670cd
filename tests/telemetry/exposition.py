"""A strict reader of Prometheus' text format, written from its specification and from nothing of Bursar's.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/. What it does not understand it refuses: lines
that are no sample, families in pieces, series that come twice, counters below nothing, histograms that do not add up.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal

_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(,|\})')
_VALUE = re.compile(r"-?\d+(\.\d+)?(e[+-]?\d+)?|[+-]Inf|NaN")
_UNESCAPED = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}

Series = tuple[str, tuple[tuple[str, str], ...]]


def read(page: str) -> dict[Series, Decimal]:
    """Every sample: its name, and its labels in order of their names. Raises ValueError, saying which line."""
    samples: dict[Series, Decimal] = {}
    kinds: dict[str, str] = {}
    helped: set[str] = set()
    current = ""
    if page and not page.endswith("\n"):
        raise ValueError("the last line does not end")
    for line in page.split("\n")[:-1]:
        try:
            if line.startswith("# "):
                current = _comment(line, kinds, helped, current)
                continue
            series, value = _sample(line)
            if _family(series[0], kinds) != current:
                raise ValueError("outside its family")
            if series in samples:
                raise ValueError("twice")
            if kinds[current] == "counter" and not (value >= 0 and series[0].endswith("_total")):
                raise ValueError("no counter")
            samples[series] = value
        except ValueError as error:
            raise ValueError(f"{error}: {line!r}") from None
    for name, kind in kinds.items():
        if kind == "histogram":
            _check_histogram(name, samples)
    return samples


def value_of(page: str, name: str, **labels: str) -> Decimal:
    """One sample, by all its labels."""
    return read(page)[name, tuple(sorted(labels.items()))]


def _comment(line: str, kinds: dict[str, str], helped: set[str], current: str) -> str:
    _, word, rest = line.split(" ", 2)
    name, _, text = rest.partition(" ")
    if not _NAME.fullmatch(name) or word not in ("HELP", "TYPE"):
        raise ValueError("no comment of this format")
    if word == "HELP":
        if name in helped or name in kinds or re.search(r"\\(?![\\n])", text.replace("\\\\", "")):
            raise ValueError("help twice, late, or badly escaped")
        helped.add(name)
        return name
    if name in kinds or text not in ("counter", "gauge", "histogram") or name != current:
        raise ValueError("type twice, unknown or out of place")
    kinds[name] = text
    return name


def _sample(line: str) -> tuple[Series, Decimal]:
    match = _NAME.match(line)
    if match is None:
        raise ValueError("no name")
    name, at, labels = match[0], match.end(), {}
    if line[at : at + 1] == "{":
        at += 1
        while True:
            pair = _LABEL.match(line, at)
            if pair is None or pair[1] in labels:
                raise ValueError("no label, or one that comes twice")
            labels[pair[1]] = re.sub(r"\\.", lambda escaped: _UNESCAPED[escaped[0]], pair[2])
            at = pair.end()
            if pair[3] == "}":
                break
    text = line[at:]
    if not text.startswith(" ") or not _VALUE.fullmatch(text[1:]):
        raise ValueError("no value")
    return (name, tuple(sorted(labels.items()))), Decimal(text[1:].replace("Inf", "Infinity"))


def _family(name: str, kinds: dict[str, str]) -> str:
    for end in ("_bucket", "_sum", "_count"):
        if name.endswith(end) and kinds.get(name.removesuffix(end)) == "histogram":
            return name.removesuffix(end)
    return name


def _check_histogram(name: str, samples: dict[Series, Decimal]) -> None:
    """Buckets ascend to +Inf, never fall, and end in the count; there is a sum."""
    found: dict[tuple[tuple[str, str], ...], list[tuple[float, Decimal]]] = {}
    for (sample, labels), value in samples.items():
        if sample == f"{name}_bucket":
            rest = tuple(pair for pair in labels if pair[0] != "le")
            found.setdefault(rest, []).append((float(dict(labels)["le"].replace("Inf", "inf")), value))
    for labels, buckets in found.items():
        ends, counts = [end for end, _ in buckets], [count for _, count in buckets]
        if ends != sorted(set(ends)) or ends[-1] != math.inf or counts != sorted(counts):
            raise ValueError(f"the buckets of {name} are out of order")
        if counts[-1] != samples[f"{name}_count", labels] or samples[f"{name}_sum", labels] < 0:
            raise ValueError(f"{name} does not add up")
