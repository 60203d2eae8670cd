"""Which providers there are, and the settings of each: the catalog's row, the environment, the file, the arguments.

What is named later wins: row, environment, file, argument. A name that no row has is an OpenAI-compatible server, and
needs `base_url`. A provider exists when the file or an argument names it, when its key is in the environment, or when
it needs none. Missing keys are no error here: the call that needs one says so (`ProviderSettings.require_key`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from bursar.catalog.providers import OnAbort, Provider, known_rows
from bursar.config import keys
from bursar.config.columns import CUSTOM, RowName
from bursar.config.compounds import Url, mapped
from bursar.config.nearest import did_you_mean
from bursar.config.reading import Node, shown_text
from bursar.config.secrets import Secret
from bursar.config.sections import Reading, secret_argument
from bursar.config.tree import Place, ProviderSettings, missing_address
from bursar.errors import ConfigError


def read_providers(
    node: Node | None, reading: Reading, api_keys: Mapping[str, Any] | None
) -> dict[str, ProviderSettings]:
    """Every provider, by name: the file's first, in its order, then those of arguments and the environment."""
    known = known_rows()
    found: dict[str, ProviderSettings] = {}
    for name, given in (mapped(node, "providers") if node else {}).items():
        found[name] = _from_file(name, given, reading, known.get(name))
        reading.remember(given)
    for name, row in known.items():
        keyed = not row.needs_key or _key_variable(row, reading)
        if name not in found and keyed and (row.base_url or _base_url(row, reading)):
            found[name] = from_row(name, row, reading)
    for name, value in (api_keys or {}).items():
        key = f"api_keys[{shown_text(str(name))!r}]"
        if name not in found and name not in known:
            names = sorted({*found, *known})
            hint = did_you_mean(str(name), names, "providers")
            raise ConfigError(f"{key}: there is no such provider; {hint}", key=key)
        base = found.get(name) or from_row(name, known[name], reading)
        if not base.base_url:
            raise missing_address(name, known[name].base_url_variable)
        found[name] = replace(base, api_key=secret_argument(value, key), keys=())
        reading.places[f"llm.providers.{name}.api_key"] = Place("argument")
    return found


def known_names(found: Mapping[str, ProviderSettings]) -> set[str]:
    """The names that a provider can be called by: those configured, and every row of the catalog."""
    return {*found, *known_rows()}


def from_row(name: str, row: Provider, reading: Reading) -> ProviderSettings:
    """A provider as its row and the environment have it."""
    environ = reading.around.environ
    values: dict[str, Any] = {}
    variable = _key_variable(row, reading)
    if variable:
        values["api_key"] = Secret(environ[variable].strip(), reference=f"${{{variable}}}")
        reading.places[f"llm.providers.{name}.api_key"] = Place(f"environment {variable}")
    base_url = _base_url(row, reading)
    if base_url:
        values["base_url"] = base_url
        reading.places[f"llm.providers.{name}.base_url"] = Place(f"environment {row.base_url_variable}")
    for attribute, variable in (("organization", row.organization_variable), ("project", row.project_variable)):
        if variable and environ.get(variable, "").strip():
            text = environ[variable].strip()
            if len(text) > 256 or not re.fullmatch(r"[ -~]+", text):
                raise ConfigError(f"{variable} in the environment is not one line of plain text", key=variable)
            values[attribute] = text
            reading.places[f"llm.providers.{name}.{attribute}"] = Place(f"environment {variable}")
    return replace(_defaults(name, row), **values)


def _defaults(name: str, row: Provider) -> ProviderSettings:
    return ProviderSettings(
        name=name,
        row=row.name,
        base_url=row.base_url,
        key_variable=row.key_variable,
        needs_key=row.needs_key,
        auth=row.auth,
        dialects=row.dialects,
        api_version=row.api_version,
        limit_field=row.limit_field,
        usage_field=row.usage_field,
        settles=row.settles,
        rate_headers=row.rate_headers,
        reports_cost=row.reports_cost,
        bills_errors=row.bills_errors,
        cancel_stops_billing=row.cancel_stops_billing,
        prefill=row.prefill,
        on_abort=_on_abort(row, row.cancel_stops_billing),
        max_connections=row.max_connections,
        max_keepalive=row.max_keepalive,
        keepalive_expiry=row.keepalive_expiry,
        connect_timeout=row.connect_timeout,
        read_timeout=row.read_timeout,
        write_timeout=row.write_timeout,
        pool_timeout=row.pool_timeout,
    )


def _on_abort(row: Provider, cancel_stops_billing: bool) -> OnAbort:
    """To close a stream is worth it only where that ends the bill, and a record will say what it came to."""
    return "cancel" if cancel_stops_billing and row.records else "drain"


def _key_variable(row: Provider, reading: Reading) -> str:
    """The environment variable that holds a provider's key, "" where none does."""
    environ = reading.around.environ
    return next((variable for variable in row.key_variables if environ.get(variable, "").strip()), "")


def _base_url(row: Provider, reading: Reading) -> str:
    """The address that the environment gives, with the path that the provider's own SDK appends to it."""
    variable = row.base_url_variable
    text = reading.around.environ.get(variable, "").strip() if variable else ""
    if not text:
        return ""
    url = Url().check(Node("text", f"{variable} in the environment", None, None, text="${" + variable + "}"), text)
    return url if url.endswith(row.base_path) else url + row.base_path


def _from_file(name: str, node: Node, reading: Reading, row: Provider | None) -> ProviderSettings:
    if not re.fullmatch(keys.NAME, name):
        raise node.error("the name of a provider has up to 64 letters, digits, - and _")
    if row is None and not {"base_url", "row"} & node.entries.keys() and node.form == "mapping":
        _refuse_unknown(name, node)
    followed = node.entries.get("row")
    if followed is not None:
        row = known_rows().get(RowName().read(followed, reading.around))
    row = row or Provider(CUSTOM)
    base = from_row(name, row, reading)
    values = reading.section(node, keys.PROVIDER_KEYS, "the settings of a provider")
    values.setdefault("on_abort", _on_abort(row, values.get("cancel_stops_billing", row.cancel_stops_billing)))
    preferences = node.entries.get("provider_preferences")
    for preference in preferences.entries.values() if preferences else ():
        reading.remember(preference)
    if "keys" in values:
        _beside(values, node, reading)
    if not values.get("base_url", base.base_url):
        example = "https://YOURS.openai.azure.com/openai/v1" if base.row == "azure" else "http://localhost:8000/v1"
        raise node.error(f"{name} needs base_url, such as {example}")
    if "discount" in values:
        values["discount"] = values["discount"] / Decimal(100)
    return replace(base, in_file=True, **values)


def _beside(values: dict[str, Any], node: Node, reading: Reading) -> None:
    """A file that lists keys says all of them: the environment's is none of them unless it is listed, too."""
    for item in node.entries["keys"].items:
        reading.remember(item)
    if values.setdefault("api_key", None) in [key.secret for key in values["keys"]]:
        raise node.entries["keys"].error("the key of api_key stands in this list, too; give it a weight here instead")


def _refuse_unknown(name: str, node: Node) -> None:
    """A name that no row has, without an address: a typing mistake, or a server whose address is missing."""
    names = sorted(known_rows())
    hint = did_you_mean(name, names, "providers")
    raise node.error(f"there is no provider {shown_text(name)}; {hint} A server of your own needs base_url")
