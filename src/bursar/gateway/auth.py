"""Who asks: the key of a request, looked up by its digest alone.

Decides who comes in, and never what they may do there. What a caller sends as its key is digested before anything else
is done with it; it reaches neither the database, nor a log, nor an error. Keys are remembered by their whole digest,
and learned anew when the keyring's version has risen: looked at each second, and at once for a digest that nobody
knows, as long as these are few.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from bursar.call.keyring import Keyring
from bursar.gateway.secret import digest_of
from bursar.rules.keys import CallerKey, matches, refusal_of

# How long a revocation by another process may go unseen.
LOOK_MS = 1_000
# Looks a second for digests that nobody knows; a flood of wrong keys costs no more than that.
UNKNOWN_LOOKS = 20
# Longer than any key; not worth a digest.
KEY_BYTES_MAX = 512
BEARER = b"bearer "
UNKNOWN = "this gateway knows no such key: ask whoever runs it for one"


class NotAllowedError(Exception):
    """The request comes in with no key that counts. message: for the caller; it never holds what was sent."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


class Doorkeeper:
    """Knows every key of a keyring. Thread-safe. secret: what keys are digested under. clock: epoch milliseconds."""

    def __init__(self, keyring: Keyring, secret: bytes, clock: Callable[[], int]) -> None:
        self.secret = secret
        self._keyring = keyring
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[str, CallerKey] = {}
        self._digests: dict[str, tuple[str, ...]] = {}
        self._version = 0
        self._looked_ms = -LOOK_MS
        self._second = 0
        self._looks = 0

    def who(self, headers: Mapping[bytes, bytes]) -> CallerKey:
        """The key of a request. headers: by lower-case name. Raises NotAllowedError and StoreUnavailableError."""
        digest = digest_of(self.secret, _text_of(headers))
        now_ms = self._clock()
        if not 0 <= now_ms - self._looked_ms < LOOK_MS:
            self._learn(now_ms)
        key = self._known.get(digest)
        if key is None and self._may_look(now_ms):
            self._learn(now_ms)
            key = self._known.get(digest)
        if key is None:
            raise NotAllowedError(401, "invalid_api_key", UNKNOWN)
        if not matches(key, digest, now_ms):
            raise NotAllowedError(401, "key_rotated", f"the key {key.name!r} was rotated: use the new one")
        refusal = refusal_of(key, now_ms)
        if refusal is not None:
            verb = "was revoked" if refusal == "revoked" else "has expired"
            raise NotAllowedError(401, f"key_{refusal}", f"the key {key.name!r} {verb}: ask for another one")
        return key

    def refresh(self) -> None:
        """Read what has changed in the keyring, at once: for who has changed it. Blocks."""
        self._learn(self._clock())

    def _may_look(self, now_ms: int) -> bool:
        """Whether this second has a look left for a digest that nobody knows."""
        second = now_ms // 1_000
        if second != self._second:
            self._second, self._looks = second, 0
        self._looks += 1
        return self._looks <= UNKNOWN_LOOKS

    def _learn(self, now_ms: int) -> None:
        """Read what has changed in the keyring since the last look."""
        with self._lock:
            version = self._keyring.version()
            if version != self._version:
                if version < self._version:  # the books were put back from a backup
                    self._known, self._digests, self._version = {}, {}, 0
                for key in self._keyring.keys(self._version):
                    self._remember(key)
                # Read before the keys: what has changed in between is read again.
                self._version = version
            self._looked_ms = now_ms

    def _remember(self, key: CallerKey) -> None:
        for digest in self._digests.get(key.id, ()):
            self._known.pop(digest, None)
        self._digests[key.id] = tuple(digest for digest, _ in key.digests)
        self._known.update((digest, key) for digest, _ in key.digests)


def _text_of(headers: Mapping[bytes, bytes]) -> str:
    """The key that a request shows. Raises NotAllowedError where there is none, or several that differ."""
    authorization = headers.get(b"authorization", b"")
    if authorization and authorization[: len(BEARER)].lower() != BEARER:
        raise NotAllowedError(401, "invalid_api_key", "Authorization must be: Bearer, a space, and a key")
    given = (authorization[len(BEARER) :].strip(), headers.get(b"x-api-key", b""), headers.get(b"api-key", b""))
    shown = [text for text in given if text]
    if not shown:
        raise NotAllowedError(
            401, "missing_api_key", "no key came with the request: send it as Authorization: Bearer sk-bursar-..."
        )
    if any(text != shown[0] for text in shown[1:]):
        raise NotAllowedError(401, "several_api_keys", "the request shows two keys that differ: send one")
    if len(shown[0]) > KEY_BYTES_MAX:
        raise NotAllowedError(401, "invalid_api_key", UNKNOWN)
    return shown[0].decode("latin-1")
