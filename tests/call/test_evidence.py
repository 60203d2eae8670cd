"""What a provider's record makes of an uncertain attempt."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from bursar.call.evidence import adjustment
from bursar.rules.usage import Usage
from bursar.wire.dialect import Metered
from tests.contract.store.material import fact

DOUBT = fact(
    "a", 100, certain=False, request_id="gen-1", provider="openrouter", served_model="m", status=200, ended_ms=7
)
USED = Usage.of(10, 2)


def test_the_fact_stays_what_it_was_but_for_its_cost() -> None:
    found = adjustment(DOUBT, Metered(USED, 30, "m-2024", "gen-1"), "/generation")
    assert found is not None
    assert found.evidence == "openrouter:/generation:gen-1"
    told = replace(
        DOUBT,
        charged_nano_usd=30,
        cost_nano_usd=30,
        cost_source="provider",
        certain=True,
        usage=USED,
        served_model="m-2024",
    )
    assert found.fact == told


def test_what_a_record_does_not_say_is_kept() -> None:
    found = adjustment(replace(DOUBT, usage=USED), Metered(None, 0, "", "gen-1"), "/generation")
    assert found is not None
    assert (found.fact.usage, found.fact.served_model, found.fact.charged_nano_usd) == (USED, "m", 0)


@pytest.mark.parametrize(
    "record", [Metered(USED, None, "m", "gen-1"), Metered(USED, 30, "m", "gen-2"), Metered(USED, 30)]
)
def test_a_record_without_a_cost_or_of_another_request_is_no_evidence(record: Metered) -> None:
    assert adjustment(DOUBT, record, "/generation") is None
