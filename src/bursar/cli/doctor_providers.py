"""The providers as the doctor finds them: asked for their models, which costs nothing, and for what a key may spend.

Decides whether what came back is what the provider's row promises. Says what came back where it is not, and never
shows a key. Nothing here can be billed; `doctor_probe` makes calls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bursar.cli.doctor_account import account
from bursar.cli.excerpts import excerpt, hidden
from bursar.cli.output import counted
from bursar.cli.symptoms import Level, Symptom
from bursar.config.columns import MODEL
from bursar.errors import ConfigError

if TYPE_CHECKING:
    from bursar.call.exchange import Answer, Failed
    from bursar.catalog.providers import Provider
    from bursar.config import ProviderSettings, Settings

_CHECK = "providers"
# A list of models is a page; a provider that takes longer is as good as down.
SECONDS_MAX = 10.0


@dataclass(frozen=True, slots=True)
class Looked:
    """What a provider answered: what there is to say of it, and the models it named.

    silent: it may still be what its row says, since not every server lists its models.
    """

    symptoms: tuple[Symptom, ...]
    models: tuple[str, ...] = ()
    silent: bool = False


def asked(settings: Settings) -> Iterator[Symptom]:
    """What every provider answers that can be asked."""
    for provider in meant(settings):
        # The first key is the one that is asked with.
        key = next(iter(provider.usable_keys), None)
        if key is not None and not key.secret.fetched and key.secret.reference.startswith("the command"):
            found = f"{provider.name} was not asked: its key comes from a command"
            yield Symptom(_CHECK, "note", found, "--probe runs it")
        else:
            looked = look(provider)
            yield from looked.symptoms if looked else ()


def meant(settings: Settings) -> Iterator[ProviderSettings]:
    """Every provider that there is a key for, or that the configuration names."""
    for provider in settings.providers.values():
        if provider.in_file or provider.name == settings.active or provider.every_key:
            yield provider


def look(provider: ProviderSettings) -> Looked | None:
    """Ask a provider for its models and, where it tells, for what its key may spend; None where its key is missing."""
    from bursar.call.exchange import Failed
    from bursar.catalog.headers import headers_of
    from bursar.catalog.providers import row_of
    from bursar.catalog.targets import address_of
    from bursar.edges.http.lookup import Lookup

    row = row_of(provider)
    try:
        key = provider.require_key()
    except ConfigError:
        return None  # said where the keys are listed
    if MODEL in row.base_url:
        found = f"{provider.name}: an address with the model in it has no list of models to ask for"
        return Looked((Symptom(_CHECK, "note", found, "--probe makes a call"),), silent=True)
    with Lookup(provider.name, headers_of(row, key, provider)) as lookup:
        url = address_of(row, "", "/models")
        answer = lookup.get(url, seconds=SECONDS_MAX)
        looked = judged(row, url, answer, key)
        if row.account and not isinstance(answer, Failed):
            said = account(row, lambda path: lookup.get(row.base_url + path, seconds=SECONDS_MAX), key)
            looked = replace(looked, symptoms=(*looked.symptoms, *said))
        return looked


def judged(row: Provider, url: str, answer: Answer | Failed, key: str) -> Looked:
    """What an answer to GET models says of a provider."""
    from bursar.call.exchange import Failed

    name = row.name
    place = f"llm.providers.{name}"
    if isinstance(answer, Failed):
        found = f"{name} did not answer at {url}: {hidden(answer.detail, key)}"
        return _broken(found, f"if base_url of {place} is right, look at the network and at proxies")
    back = f"{name} answered GET {url} with {excerpt(answer.status, answer.headers, answer.body, key)}"
    if answer.status >= 400:
        return _refused(row, answer, back)
    listed = models_of(answer.body)
    if answer.status >= 300 or listed is None:
        return _broken(back, f"that is no list of models: change base_url of {place} (most end in /v1)")
    if _is_anthropics(listed) and "anthropic_messages" not in row.dialects:
        mend = f"that is Anthropic's form: set dialects: [anthropic_messages] and auth: x-api-key at {place}"
        return _broken(back, mend)
    if _is_openais(listed) and row.dialects == ("anthropic_messages",):
        return _doubtful(row, back, listed)
    found = f"{name} answers, with {counted(len(listed), 'model')}"
    return Looked((Symptom(_CHECK, "ok", found),), tuple(model["id"] for model in listed))


def _doubtful(row: Provider, back: str, listed: list[dict[str, Any]]) -> Looked:
    """Models in OpenAI's form of one who is to speak messages alone: a proxy may list so, Anthropic does not."""
    place = f"llm.providers.{row.name}"
    level: Level = "error" if row.auth == "x-api-key" else "warning"
    mend = f"that is OpenAI's form, and {place} is to speak Anthropic's: --probe makes a call; else change base_url"
    symptom = Symptom(_CHECK, level, back, f"{mend}, or set dialects: [openai_chat] and auth: bearer")
    return Looked((symptom,), tuple(model["id"] for model in listed), silent=True)


def _refused(row: Provider, answer: Answer, back: str) -> Looked:
    from bursar.wire.faults import read_error

    place = f"llm.providers.{row.name}"
    error = read_error(answer.status, answer.headers, answer.body)
    if error.kind == "auth":
        return _broken(back, f"the key is refused: look at api_key (and auth: {row.auth}) of {place}")
    if answer.status in (404, 405):
        mend = f"change base_url of {place} (most end in /v1); where it lists no models, --probe makes a call"
        return Looked((Symptom(_CHECK, "error", back, mend),), silent=True)
    if error.kind in ("quota", "rate", "unavailable", "timeout"):
        return Looked((Symptom(_CHECK, "warning", back),), silent=True)
    return _broken(back, f"look at base_url and api_key of {place}")


def _broken(found: str, mend: str) -> Looked:
    return Looked((Symptom(_CHECK, "error", found, mend),))


def models_of(body: bytes) -> list[dict[str, Any]] | None:
    """The models of a list of OpenAI's form, of Anthropic's, or bare as Together's; None for anything else."""
    from bursar.wire.lenient import as_dict, decode

    value = decode(body)
    listed = value if isinstance(value, list) else as_dict(value).get("data")
    if not isinstance(listed, list):
        return None
    models = [as_dict(model) for model in listed]
    return models if all(isinstance(model.get("id"), str) for model in models) else None


def _is_openais(models: list[dict[str, Any]]) -> bool:
    return bool(models) and all(model.get("object") == "model" for model in models)


def _is_anthropics(models: list[dict[str, Any]]) -> bool:
    return bool(models) and all(model.get("type") == "model" and "object" not in model for model in models)


CHECKS: tuple[Callable[[Settings], Iterator[Symptom]], ...] = (asked,)
