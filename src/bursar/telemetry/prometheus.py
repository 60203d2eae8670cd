"""Families of samples as Prometheus reads them: its text format, version 0.0.4.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/ (text-based format, 2014, stable).
"""

from __future__ import annotations

from collections.abc import Iterable

from bursar.telemetry.families import Family, Labels, Number

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_IN_LABEL = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})
_IN_HELP = str.maketrans({"\\": "\\\\", "\n": "\\n"})


def text_of(families: Iterable[Family]) -> str:
    """The page that is scraped. A family without samples is left out.

    >>> print(text_of([Family("cost_usd_total", "counter", "Money.", ("model",), [(("a",), 42_000)], scale=10**9)]))
    # HELP cost_usd_total Money.
    # TYPE cost_usd_total counter
    cost_usd_total{model="a"} 0.000042
    <BLANKLINE>
    """
    lines: list[str] = []
    for family in families:
        if family.samples:
            lines.append(f"# HELP {family.name} {family.help.translate(_IN_HELP)}")
            lines.append(f"# TYPE {family.name} {family.kind}")
            for labels, value in family.samples:
                if isinstance(value, list):
                    lines += _histogram(family, labels, value)
                else:
                    lines.append(f"{family.name}{_labels(family.labels, labels)} {_number(value, family.scale)}")
    return "\n".join(lines) + "\n" if lines else ""


def _histogram(family: Family, labels: Labels, value: list[int]) -> Iterable[str]:
    """Buckets hold all that is below them; the sum is the last number."""
    *counts, total = value
    names = (*family.labels, "le")
    below = 0
    ends = [_number(bound, family.scale) for bound in family.bounds]
    for end, count in zip([*ends, "+Inf"], counts, strict=True):
        below += count
        yield f"{family.name}_bucket{_labels(names, (*labels, end))} {below}"
    yield f"{family.name}_sum{_labels(family.labels, labels)} {_number(total, family.scale)}"
    yield f"{family.name}_count{_labels(family.labels, labels)} {below}"


def _labels(names: Labels, values: Labels) -> str:
    if not names:
        return ""
    pairs = zip(names, values, strict=True)
    return "{" + ",".join(f'{name}="{value.translate(_IN_LABEL)}"' for name, value in pairs) + "}"


def _number(value: Number, scale: int) -> str:
    """A number without loss: an integer is divided on paper."""
    if isinstance(value, float) or scale == 1:
        return repr(value / scale if scale != 1 else value)
    whole, rest = divmod(abs(value), scale)
    decimals = f"{rest:0{len(str(scale)) - 1}d}".rstrip("0")
    return f"{'-' if value < 0 else ''}{whole}{'.' if decimals else ''}{decimals}"
