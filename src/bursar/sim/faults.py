"""How the simulator is told to fail: what kinds there are, how a fault is written, and which fault a request meets.

A fault is written `kind[:value][,name=value...]`, as in `status:503`, `status:429,retry_after=2`,
`stall:5,after_chunks=3`, `drop:2`, `absurd_usage:negative`. It comes with a request (header x-sim-fault, or
[[fault=...]] in the last user message) or from rules, tried in order; the first that matches wins. Rules with a
probability draw from the seed.

What is billed (`billed=true` or `billed=false` overrides):
  status, html, refuse, error_body, model_down    nothing
  error_in_stream                                 the prompt and what was sent before the error
  everything else                                 in full, with the true usage
Never sends anything itself.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Any

import msgspec

# kind -> the field that a bare value sets
KINDS: dict[str, str | None] = {
    "status": "status",
    "html": "status",
    "refuse": None,
    "model_down": None,
    "error_body": None,
    "drop": "after_chunks",
    "truncate": "after_chunks",
    "no_done": None,
    "stall": "seconds",
    "malformed_json": "after_chunks",
    "error_in_stream": "after_chunks",
    "missing_usage": None,
    "absurd_usage": "variant",
    "empty": None,
    "wrong_content_type": None,
    "duplicate_chunks": None,
    "oversized": "body_bytes",
}
UNBILLED = frozenset({"status", "html", "refuse", "error_body", "model_down"})
ABSURD_VARIANTS = ("negative", "strings", "enormous", "floats", "null")
STALL_SECONDS_MAX = 3600.0
BODY_BYTES_MAX = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to fail. `after_chunks` counts content chunks; None means before the first."""

    kind: str
    status: int | None = None
    code: str | None = None
    retry_after_seconds: float | None = None
    after_chunks: int | None = None
    seconds: float = 30.0
    variant: str = "negative"
    body_bytes: int = 8 * 1024 * 1024
    billed: bool | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"fault {self.kind!r}: expected one of {', '.join(KINDS)}")
        if self.kind == "status" and self.status is None:
            raise ValueError("fault status: expected a status, as in status:503")
        if self.status is not None and not 200 <= self.status <= 599:
            raise ValueError(f"fault {self.kind}: status {self.status} is not between 200 and 599")
        if self.after_chunks is not None and self.after_chunks < 0:
            raise ValueError(f"fault {self.kind}: after_chunks {self.after_chunks} is below 0")
        if not 0 <= self.seconds <= STALL_SECONDS_MAX:
            raise ValueError(f"fault {self.kind}: {self.seconds} seconds is not between 0 and {STALL_SECONDS_MAX:.0f}")
        if not 0 <= self.body_bytes <= BODY_BYTES_MAX:
            raise ValueError(f"fault {self.kind}: {self.body_bytes} bytes is not between 0 and {BODY_BYTES_MAX}")
        if self.variant not in ABSURD_VARIANTS:
            raise ValueError(f"fault {self.kind}: variant {self.variant!r} is not one of {', '.join(ABSURD_VARIANTS)}")

    @property
    def bills(self) -> bool:
        return self.kind not in UNBILLED if self.billed is None else self.billed


@dataclass(frozen=True, slots=True)
class Rule:
    """A fault that requests meet: of one provider and model or all, so many times or for ever, always or by chance."""

    fault: Fault
    provider: str | None = None
    model: str | None = None
    times: int | None = None
    probability: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1:
            raise ValueError(f"fault rule: probability {self.probability} is not between 0 and 1")

    def matches(self, provider: str, model: str) -> bool:
        return self.provider in (None, provider) and self.model in (None, model)


class WrittenRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A rule as JSON or as `name=value` pairs; the fields of Fault and Rule side by side."""

    kind: str
    status: int | None = None
    code: str | None = None
    retry_after: float | None = None
    after_chunks: int | None = None
    seconds: float = 30.0
    variant: str = "negative"
    body_bytes: int = 8 * 1024 * 1024
    billed: bool | None = None
    provider: str | None = None
    model: str | None = None
    times: int | None = None
    probability: float = 1.0

    def rule(self) -> Rule:
        fault = Fault(
            kind=self.kind,
            status=self.status,
            code=self.code,
            retry_after_seconds=self.retry_after,
            after_chunks=self.after_chunks,
            seconds=self.seconds,
            variant=self.variant,
            body_bytes=self.body_bytes,
            billed=self.billed,
        )
        return Rule(fault, self.provider, self.model, self.times, self.probability)


def parse_rule(text: str) -> Rule:
    """Read `kind[:value][,name=value...]`. Raises ValueError with one clear line.

    >>> parse_rule("status:429,retry_after=2,provider=openai").fault.retry_after_seconds
    2.0
    """
    head, *pairs = (part.strip() for part in text.split(","))
    kind, colon, value = head.partition(":")
    written: dict[str, Any] = {"kind": kind}
    if kind not in KINDS:
        raise ValueError(f"fault {kind!r}: expected one of {', '.join(KINDS)}")
    if colon:
        name = KINDS[kind]
        if name is None:
            raise ValueError(f"fault {kind}: takes no value, got {value!r}")
        written[name] = value
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise ValueError(f"fault {kind}: expected name=value, got {pair!r}")
        written[name.strip()] = value.strip()
    try:
        return msgspec.convert(written, WrittenRule, strict=False).rule()
    except msgspec.ValidationError as error:
        raise ValueError(f"fault {text!r}: {error}") from error


def parse_fault(text: str) -> Fault:
    """The fault alone, as a request carries it. Raises ValueError."""
    return parse_rule(text).fault


def read_rules(body: bytes) -> list[Rule]:
    """Rules from JSON: a list of objects or of written faults. Raises ValueError."""
    try:
        entries = msgspec.json.decode(body, type=list[WrittenRule | str])
    except msgspec.DecodeError as error:
        raise ValueError(f"fault rules: {error}") from error
    return [parse_rule(entry) if isinstance(entry, str) else entry.rule() for entry in entries]


class FaultBook:
    """The rules in force. Asking for a fault uses one up where the rule counts."""

    def __init__(self, seed: int, rules: tuple[Rule, ...] = ()) -> None:
        self._seed = seed
        self.enforce(rules)

    def enforce(self, rules: tuple[Rule, ...] | list[Rule]) -> None:
        """Put these rules in force instead of the ones before; chances start again from the seed."""
        self.rules = list(rules)
        self._chance = [random.Random(f"fault {self._seed} {index}") for index in range(len(self.rules))]

    def meet(self, provider: str, model: str) -> Fault | None:
        """The fault that the next request for this model meets, if any."""
        for index, rule in enumerate(self.rules):
            if rule.times == 0 or not rule.matches(provider, model):
                continue
            if rule.probability < 1 and self._chance[index].random() >= rule.probability:
                continue
            if rule.times is not None:
                self.rules[index] = replace(rule, times=rule.times - 1)
            return rule.fault
        return None
