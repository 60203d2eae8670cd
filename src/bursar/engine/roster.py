"""The providers of a client, each under each of its keys, with everything that does not change from call to call.

Decides whose turn it is where a provider has several keys; which of them rests, and how long, the rules say
(`rules.rotation`, `rules.retries`). Never shows a key: what tells keys apart in the books is a fingerprint.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bursar.call.books import Fact
from bursar.call.observing import limits_observed
from bursar.catalog.headers import headers_of
from bursar.catalog.providers import Provider, row_of
from bursar.config import ProviderSettings
from bursar.edges.inquiries import Source
from bursar.rules.allowances import Allowance
from bursar.rules.observing import PROVIDER_KEY, key_scope
from bursar.rules.rotation import Rotation

__all__ = ["ONLY_KEY", "Candidate", "Roster"]

# The names of the keys of a provider that has only one, or none.
ONLY_KEY = ("",)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A provider under one of its keys. key: what tells it apart in the books.

    observes: what its answers say of its limits can correct ours; observes_callers: where callers have keys of their
    own, so that limits told apart by "key" are not the provider's.
    """

    settings: ProviderSettings
    row: Provider
    headers: Mapping[str, str]
    key: str
    observes: bool
    observes_callers: bool


class Roster:
    """Thread-safe. `allowances`: the limits of the configuration."""

    def __init__(
        self,
        providers: Mapping[str, ProviderSettings],
        allowances: Sequence[Allowance],
        clock: Callable[[], int],
    ) -> None:
        self._providers = providers
        self._allowances = allowances
        self._clock = clock
        self._lock = threading.Lock()
        self._candidates: dict[tuple[str, str], Candidate] = {}
        self._rotations: dict[str, Rotation | None] = {}

    def of(self, provider: str, key_name: str = "") -> Candidate:
        """A provider under the key of this name, "" for the only one. Raises ConfigError where it has none."""
        return self._candidates.get((provider, key_name)) or self._new(provider, key_name)

    def keys(self, provider: str) -> tuple[str, ...]:
        """The names of a provider's keys in the order in which one call tries them; ONLY_KEY where it has only one."""
        rotation = self._rotation(provider)
        if rotation is None:
            return ONLY_KEY
        with self._lock:
            return rotation.order(self._clock())

    def rest(self, provider: str, key_name: str, seconds: float) -> None:
        """Leave a key alone for so long, while there are others."""
        rotation = self._rotation(provider)
        if rotation is not None:
            with self._lock:
                rotation.rest(key_name, self._clock() + int(seconds * 1000))

    def learning(self, provider: str, key_name: str, learn: Callable[[Fact], None]) -> Callable[[Fact], None]:
        """What takes in how an attempt under this key ended; a key that rests and works all the same is woken.

        A rest that began after the attempt did stays: what it goes by is newer.
        """
        rotation = self._rotation(provider) if key_name else None
        if rotation is None:
            return learn
        with self._lock:
            until_ms = rotation.resting(self._clock()).get(key_name)
        if until_ms is None:
            return learn

        def learned(fact: Fact) -> None:
            if fact.ending == "ok":
                with self._lock:
                    rotation.wake(key_name, until_ms)
            learn(fact)

        return learned

    def source_of(self, fact: Fact) -> Source | None:
        """Where the provider's record of an attempt is kept; None where it keeps none, or nobody asks for costs."""
        using = fact.scopes.get(key_scope(fact.scopes))
        candidates = list(self._candidates.items())
        for (provider, _), candidate in candidates:
            if provider == fact.provider and candidate.key == using:
                row = candidate.row
                if not row.records or not candidate.settings.enable_cost_tracking:
                    return None
                return Source(row.base_url + row.records, row.records, candidate.headers, candidate.key)
        return None

    def _rotation(self, provider: str) -> Rotation | None:
        if provider not in self._rotations:
            keys = self._providers[provider].usable_keys
            weights = {key.name: key.weight for key in keys}
            self._rotations[provider] = Rotation(weights) if len(keys) > 1 else None
        return self._rotations[provider]

    def _new(self, provider: str, key_name: str) -> Candidate:
        settings = self._providers[provider]
        chosen = next((key for key in settings.usable_keys if key.name == key_name), None)
        key = chosen.reveal() if chosen is not None and key_name else settings.require_key()
        row = row_of(settings)
        # Enough to tell keys apart in the books, far too little to guess one.
        fingerprint = f"{provider}:{hashlib.sha256(key.encode()).hexdigest()[:8]}" if key else provider
        keys = max(len(settings.usable_keys), 1)
        observes = limits_observed(self._allowances, provider, keys=keys)
        callers = limits_observed(self._allowances, provider, keys=keys, key=PROVIDER_KEY)
        candidate = Candidate(settings, row, headers_of(row, key, settings), fingerprint, observes, callers)
        self._candidates[provider, key_name] = candidate
        return candidate
