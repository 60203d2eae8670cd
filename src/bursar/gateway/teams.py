"""Teams of keys: made before a key can belong to one, so that a budget binds whom it is meant to bind."""

from __future__ import annotations

from bursar.call.keyring import Keyring
from bursar.config.nearest import did_you_mean
from bursar.errors import ConfigError
from bursar.gateway.quotas import holder_checked
from bursar.rules.keys import NAME, Team, refusal_of


class UnknownNameError(ConfigError):
    """There is no key, or no team, of this name."""

    code = "not_found"


def create_team(keyring: Keyring, name: str, organisation: str, now_ms: int) -> Team:
    """Make a team, so that keys can belong to it. Raises ConfigError where there is one of that name."""
    if not NAME.fullmatch(name):
        raise ConfigError("a team's name has 1 to 64 letters, digits, dots, - and _")
    if organisation:
        holder_checked("organisation", organisation)
    if any(team.name == name for team in keyring.teams()):
        raise ConfigError(f"there is a team {name!r} already")
    team = Team(name, organisation, now_ms)
    keyring.put_team(team)
    return team


def team_of(keyring: Keyring, name: str) -> Team:
    """The team of this name. Raises UnknownNameError: a budget for a mistyped team would bind nobody."""
    teams = {team.name: team for team in keyring.teams()}
    if name not in teams:
        hint = did_you_mean(name, sorted(teams), "teams")
        raise UnknownNameError(f"there is no team {name[:80]!r}; {hint} (bursar teams create makes one)")
    return teams[name]


def remove_team(keyring: Keyring, name: str, now_ms: int) -> None:
    """Forget a team. Raises ConfigError while a key that counts belongs to it; its budget binds whoever names it."""
    team_of(keyring, name)
    keys = keyring.keys()
    members = [key.name for key in keys if key.team == name and refusal_of(key, now_ms) is None]
    if members:
        raise ConfigError(f"{name!r} has keys that count ({', '.join(members[:5])}): revoke or move them first")
    keyring.remove_team(name)
