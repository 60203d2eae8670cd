"""What a provider's record of a request makes of an attempt that ended uncertain.

Decides the correction, never whether it still counts: the books take each piece of evidence once. A record that does
not say what was charged, or is of another request, is no evidence.
"""

from __future__ import annotations

from msgspec.structs import replace

from bursar.call.books import Adjust, Fact
from bursar.wire.dialect import Metered

__all__ = ["adjustment"]


def adjustment(fact: Fact, record: Metered, records: str) -> Adjust | None:
    """The correction of an attempt by the record of its request; None where the record is no evidence.

    records: where the provider keeps them, as its row says ("/generation").
    """
    charged = record.reported_nano_usd
    if charged is None or record.reply_id != fact.request_id:
        return None
    told = replace(
        fact,
        charged_nano_usd=charged,
        cost_nano_usd=charged,
        cost_source="provider",
        certain=True,
        usage=record.usage or fact.usage,
        served_model=record.served_model or fact.served_model,
    )
    return Adjust(told, f"{fact.provider}:{records}:{fact.request_id}")
