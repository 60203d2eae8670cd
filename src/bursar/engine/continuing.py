"""Whether an attempt goes on where the stream before it broke off, and the request that asks for it.

Decides by what the provider's row and the models that may answer can do; the wire says how (`wire.continuing`). What
cannot be continued is asked for anew, unchanged.
"""

from __future__ import annotations

from bursar.catalog import models
from bursar.catalog.providers import Provider
from bursar.config import ProviderSettings
from bursar.wire.continuing import Said, prefilled
from bursar.wire.dialect import Dialect, Request
from bursar.wire.joining import Joint

__all__ = ["going_on"]


def going_on(
    dialect: Dialect, request: Request, row: Provider, settings: ProviderSettings, model: str, said: Said | None
) -> tuple[Request, Joint | None]:
    """The request that goes on from what was said, and where its reply joins; the request itself and None otherwise."""
    if said is None:
        return request, None
    others = settings.fallback_models if row.fallbacks and settings.enable_fallbacks else ()
    if not all(models.prefills(settings.priced_as(name)) for name in (model, *request.reaches, *others)):
        return request, None
    body = prefilled(request, said, row.prefill)
    if body is None:
        return request, None
    return dialect.parse(body), Joint(said, echoed=row.prefill == "prefix")
