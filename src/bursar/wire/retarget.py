"""What changes in a body for the provider that it is sent to, in every dialect alike.

Decides nothing about limits or usage: those fields differ between dialects, which add them to the changes themselves.
"""

from __future__ import annotations

from bursar.wire import asked
from bursar.wire.body import Fields, merge
from bursar.wire.dialect import Request, Target

__all__ = ["retargeted"]


def retargeted(request: Request, fields: Fields, target: Target) -> dict[str, object]:
    """The keys to set: what the target adds where the caller set nothing, or imposes, and its own name of the model."""
    changes: dict[str, object] = {
        name: value for name, value in target.extra.items() if not asked.present(fields, name)
    }
    for name, keys in target.imposed.items():
        changes[name] = merge(fields.get(name), keys)
    if target.model != request.model:
        changes["model"] = target.model
    return changes
