"""Claude's simulated bills agree with genai-prices in what the table's own test leaves out: hours, batches, speed."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import ROUND_CEILING

import pytest
from genai_prices import Usage as ListedUsage
from genai_prices import calc_price

from bursar.sim.messages import FAST_PERCENT
from bursar.sim.models import TABLE
from bursar.sim.prices import Model, Terms, bill
from bursar.sim.usage import Usage

AT = datetime(2026, 11, 22, 12, tzinfo=UTC)


def listed_nano_usd(model: str, usage: Usage, **terms: str) -> int:
    listed = ListedUsage(
        input_tokens=usage.prompt_tokens,
        output_tokens=usage.completion_tokens,
        cache_read_tokens=usage.cached_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        cache_write_1h_tokens=usage.cache_write_1h_tokens,
        web_searches=usage.web_searches or None,
    )
    found = calc_price(listed, model, provider_id="anthropic", genai_request_timestamp=AT, price_context=terms or None)
    return int((found.total_price * 10**9).to_integral_value(ROUND_CEILING))


@pytest.mark.parametrize("model", TABLE["anthropic"], ids=[model.id for model in TABLE["anthropic"]])
def test_cache_writes_searches_and_batches_cost_what_genai_prices_lists(model: Model) -> None:
    usage = Usage(5_001, 77, cached_tokens=1_000, cache_write_tokens=2_000, cache_write_1h_tokens=333, web_searches=3)
    assert bill(model, usage).nano_usd == listed_nano_usd(model.id, usage)
    alone = Usage(5_001, 77, cached_tokens=1_000, cache_write_tokens=2_000, cache_write_1h_tokens=333)
    batch = bill(model, alone, Terms(percent=50)).nano_usd
    assert batch == listed_nano_usd(model.id, alone, processing="batch")
    if model.id in FAST_PERCENT:
        fast = bill(model, alone, Terms(percent=FAST_PERCENT[model.id])).nano_usd
        assert fast == listed_nano_usd(model.id, alone, speed="fast")
