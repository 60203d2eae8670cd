"""What a provider's row sets never replaces what the caller set, but for the model's name."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from bursar.wire.body import read_fields
from bursar.wire.dialect import Request, Target
from bursar.wire.retarget import retargeted


def changes(target: Target, **given: Any) -> dict[str, object]:
    body = json.dumps(given | {"model": "m"}).encode()
    return retargeted(Request(body, "any", "m"), read_fields(body), target)


def test_the_model_is_named_as_the_provider_names_it() -> None:
    assert changes(Target("m")) == {}
    assert changes(Target("other")) == {"model": "other"}


def test_what_is_imposed_stands_beside_what_the_caller_set() -> None:
    target = Target("m", imposed={"provider": {"zdr": True}})
    assert changes(target) == {"provider": {"zdr": True}}
    (raw,) = changes(target, provider={"zdr": False, "sort": "price"}).values()
    assert isinstance(raw, msgspec.Raw)
    assert json.loads(bytes(raw)) == {"zdr": True, "sort": "price"}


def test_what_the_caller_set_stays() -> None:
    target = Target("m", extra={"user": "u", "models": ["a"]})
    assert changes(target, models=["b"]) == {"user": "u"}
    assert changes(target, models=None, user="v") == {"models": ["a"]}
