"""A hold: what an attempt in flight has claimed, as a store remembers it.

Its claims name the windows of the reservation, so a settle at five past midnight posts to yesterday.
"""

from __future__ import annotations

import msgspec

from bursar.call.books import Claim, Granted, Reserve
from bursar.edges.stores.accounts import Account, scopes_of
from bursar.rules.allowances import Grant, Meter


class Hold(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A pending attempt. Amounts are what was claimed: nano-USD, tokens for rate limits; times epoch milliseconds."""

    attempt_id: str
    call_id: str
    owner_id: str
    account: Account
    reserved_ms: int
    bound_nano_usd: int
    output_tokens_max: int
    claimed_input: int
    claimed_output: int
    refunds: bool
    claims: tuple[Claim, ...]
    capped_by: str = ""
    would_refuse: tuple[str, ...] = ()
    request_id: str = ""

    @property
    def scopes(self) -> dict[str, str]:
        """The scopes of the attempt, put together again."""
        return scopes_of(self.account[:5], self.account[5])

    def granted(self) -> Granted:
        """The outcome of the reservation, for its first answer and for every repetition."""
        return Granted(
            self.attempt_id,
            self.reserved_ms,
            self.bound_nano_usd,
            self.output_tokens_max,
            self.claims,
            self.capped_by,
            self.would_refuse,
        )

    def amount(self, meter: Meter) -> int:
        """What the attempt claims of an allowance that counts `meter`."""
        return claimed_amount(meter, self.bound_nano_usd, self.claimed_input, self.claimed_output)

    def claiming(self, claims: tuple[Claim, ...]) -> Hold:
        """The hold with other claims: an allowance was defined, changed or removed meanwhile."""
        return msgspec.structs.replace(self, claims=claims)

    def marked(self, request_id: str) -> Hold:
        """The hold with the provider's request id."""
        return msgspec.structs.replace(self, request_id=request_id)


def claimed_amount(meter: Meter, bound_nano_usd: int, claimed_input: int, claimed_output: int) -> int:
    """The amount of a meter that a claim of these sizes takes."""
    if meter == "nano_usd":
        return bound_nano_usd
    if meter == "tokens":
        return claimed_input + claimed_output
    if meter == "input_tokens":
        return claimed_input
    return claimed_output if meter == "output_tokens" else 1


def hold_of(
    reserve: Reserve, grant: Grant, claims: tuple[Claim, ...], account: Account, owner_id: str, now_ms: int
) -> Hold:
    """The hold of a reservation that was granted with these claims."""
    demand = reserve.demand
    return Hold(
        reserve.attempt_id,
        reserve.call_id,
        owner_id,
        account,
        now_ms,
        grant.nano_usd,
        grant.output_tokens,
        demand.rate_input_tokens,
        grant.output_rate,
        reserve.refunds,
        claims,
        grant.capped_by,
        grant.would_refuse,
    )


encode_hold = msgspec.json.Encoder().encode
decode_holds = msgspec.json.Decoder(list[Hold]).decode
