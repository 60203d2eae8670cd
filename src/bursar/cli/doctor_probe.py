"""One tiny call to a provider in each dialect of its row: governed, booked and paid as any other.

Decides which model is asked, and whether what came back is what the row promises. A call is refused where its price is
not known or a budget does not allow it: the doctor pays no bill blindly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from bursar.cli.doctor_providers import look, meant
from bursar.cli.excerpts import excerpt, hidden
from bursar.cli.symptoms import Symptom
from bursar.errors import BursarError, PriceUnknownError, ProviderAuthError, ProviderError, RefusedError

if TYPE_CHECKING:
    from bursar.client import Client
    from bursar.client.replies import Reply, Vectors
    from bursar.config import ProviderSettings, Settings

_CHECK = "probe"
# OpenAI's Responses take no less. A reasoning model may end within them, which is an answer too.
OUTPUT_TOKENS = 16
# Far more than so few tokens cost anywhere.
COST_USD_MAX = "0.05"
_PROMPT = "Say hi."
_MESSAGES = [{"role": "user", "content": _PROMPT}]
_MOST = {"max_cost_usd": COST_USD_MAX, "timeout": 60.0}

Probe = Callable[["Client", str, dict[str, Any]], "Reply | Vectors"]


def _chat(llm: Client, model: str, options: dict[str, Any]) -> Reply:
    return llm.chat(_PROMPT, model=model, max_tokens=OUTPUT_TOKENS, **options)


def _responses(llm: Client, model: str, options: dict[str, Any]) -> Reply:
    return llm.send("/responses", model=model, input=_PROMPT, max_output_tokens=OUTPUT_TOKENS, **options)


def _messages(llm: Client, model: str, options: dict[str, Any]) -> Reply:
    return llm.send("/messages", model=model, messages=_MESSAGES, max_tokens=OUTPUT_TOKENS, **options)


def _embeddings(llm: Client, model: str, options: dict[str, Any]) -> Vectors:
    return llm.embed([_PROMPT], model=model, **options)


PROBES: dict[str, Probe] = {
    "openai_chat": _chat,
    "embeddings": _embeddings,
    "openai_responses": _responses,
    "anthropic_messages": _messages,
}


def called(settings: Settings) -> Iterator[Symptom]:
    """What every provider answers to look-ups, and to calls."""
    for provider in meant(settings):
        looked = look(provider)
        if looked is None:
            continue
        calls = list(_calls(settings, provider, looked.models))
        spoke = any(symptom.level == "ok" for symptom in calls)
        for symptom in looked.symptoms:
            # A server that answers calls is what its row says, whether or not it lists its models.
            yield Symptom(symptom.check, "note", symptom.found) if looked.silent and spoke else symptom
        yield from calls


def _calls(settings: Settings, provider: ProviderSettings, listed: Sequence[str]) -> Iterator[Symptom]:
    from bursar.client import Client

    model = _model(settings, provider, listed)
    if model is None:
        mend = f"set llm.providers.{provider.name}.model"
        yield Symptom(_CHECK, "note", f"{provider.name} was not called: no model of it is named", mend)
        return
    with Client(settings.file, books=settings.books) as llm:
        for dialect in _dialects(provider, model):
            yield _probe(llm, provider, model, dialect)


def _dialects(provider: ProviderSettings, model: str) -> list[str]:
    """A model either embeds or speaks."""
    from bursar.catalog.models import output_max

    embeds = output_max(provider.name, provider.priced_as(model)) == 0
    return [dialect for dialect in provider.dialects if (dialect == "embeddings") == embeds]


def _model(settings: Settings, provider: ProviderSettings, listed: Sequence[str]) -> str | None:
    """The model that is asked: one that the configuration names, else the first of a provider that costs nothing."""
    if provider.model is not None:
        return provider.model
    prefix = f"{provider.name}/"
    named = [name for route in settings.routes.values() for name in route.candidates if name.startswith(prefix)]
    free = listed if provider.free else ()
    return next(iter((*(name.removeprefix(prefix) for name in named), *provider.deployments, *free)), None)


def _probe(llm: Client, provider: ProviderSettings, model: str, dialect: str) -> Symptom:
    name, key = f"{provider.name}/{model}", provider.require_key()
    options = _MOST if provider.enable_cost_tracking else {"timeout": _MOST["timeout"]}
    try:
        reply = PROBES[dialect](llm, name, dict(options))
    except PriceUnknownError:
        mend = f"prices: {{{name}: {{input: ..., output: ...}}}} in bursar.yaml, or price: free"
        return Symptom(_CHECK, "warning", f"{name} was not called in {dialect}: its price is not known", mend)
    except RefusedError as error:
        return Symptom(_CHECK, "warning", f"{name} was not called in {dialect}: {error.message}")
    except ProviderError as error:
        back = f"; what came back: {excerpt(error.status, {}, error.body, key)}" if error.body else ""
        what = "api_key and auth" if isinstance(error, ProviderAuthError) else "base_url, dialects and auth"
        mend = f"look at {what} of llm.providers.{provider.name}"
        return Symptom(_CHECK, "error", f"{dialect}: {hidden(error.message, key)}{back}", mend)
    except BursarError as error:
        return Symptom(_CHECK, "error", f"{name} in {dialect}: {hidden(error.message, key)}")
    return Symptom(_CHECK, "ok", f"{name} answers in {dialect}; that cost {reply.cost}")


CHECKS: tuple[Callable[[Settings], Iterator[Symptom]], ...] = (called,)
