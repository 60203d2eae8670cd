"""API keys: where each provider looks for one, whether it is good, and what it is for.

A good key begins with a configured prefix. After it, `byok-` says that behind a router the caller's own keys pay, and
`mgmt-` that the key is for management.
"""

from __future__ import annotations

from collections.abc import Mapping

from bursar.sim.failures import Failure, no_key, wrong_key

KINDS = ("byok", "mgmt")


def key_of(headers: Mapping[str, str], header: str = "authorization") -> str:
    """The key in these headers, empty where there is none. Azure's `api-key` may be a bearer's token instead.

    >>> key_of({"authorization": "Bearer sk-sim-1"}), key_of({"api-key": "sk-sim-1"}, "api-key")
    ('sk-sim-1', 'sk-sim-1')
    """
    found = headers.get(header, "")
    if header != "authorization" and (found or header != "api-key"):
        return found.strip()
    scheme, _, key = headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


def key_failure(
    headers: Mapping[str, str], key_prefixes: tuple[str, ...], header: str = "authorization"
) -> Failure | None:
    """What is wrong with the API key of these headers, if anything is."""
    key = key_of(headers, header)
    if not key:
        return no_key()
    return None if key.startswith(key_prefixes) else wrong_key(key)


def key_kind(headers: Mapping[str, str], key_prefixes: tuple[str, ...]) -> str:
    """What a good bearer's key is for: byok or mgmt where that follows its prefix, else nothing special.

    >>> key_kind({"authorization": "Bearer sk-sim-byok-1"}, ("sk-sim-",))
    'byok'
    """
    key = key_of(headers)
    rests = [key.removeprefix(prefix) for prefix in key_prefixes if key.startswith(prefix)]
    return next((kind for kind in KINDS for rest in rests if rest.startswith(f"{kind}-")), "")
