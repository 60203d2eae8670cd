"""Which model of a bill a model of the books is: the same one under another name.

Decides by the name alone. Providers bill by the issue that served ("gpt-4o-mini-2024-07-18"), and the books know only
the name that was asked where no reply came; OpenRouter bills by a permanent name, and replies by another.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

# Which issue of a model it is: a date, or "latest".
_ISSUE = re.compile(r"(-20\d\d-\d\d-\d\d|-20\d{6}|-\d{4}|-latest)$")


def stem_of(name: str) -> str:
    """A model's name without its issue and without how it was routed.

    >>> stem_of("gpt-4o-mini-2024-07-18"), stem_of("openai/gpt-4o:nitro"), stem_of("claude-sonnet-4-5-20250929")
    ('gpt-4o-mini', 'openai/gpt-4o', 'claude-sonnet-4-5')
    """
    return _ISSUE.sub("", name.lower().partition(":")[0])


class Names:
    """The names on a bill."""

    def __init__(self, names: Iterable[tuple[str, str]]) -> None:
        self._known: dict[str, str] = {}
        self._stems: dict[str, set[str]] = {}
        for name, also in names:
            self._known[name.lower()] = name
            self._stems.setdefault(stem_of(name), set()).add(name)
            if also:
                self._known.setdefault(also.lower(), name)
                self._stems.setdefault(stem_of(also), set()).add(name)

    def of(self, model: str) -> str:
        """The bill's name for a model of the books; the model's own where the bill has none.

        Of several issues the newest: who asks for a model without saying which gets that one.

        >>> Names([("gpt-4o-2024-08-06", ""), ("gpt-4o-2024-11-20", "")]).of("gpt-4o")
        'gpt-4o-2024-11-20'
        """
        known = self._known.get(model.lower())
        return known if known is not None else max(self._stems.get(stem_of(model), {model}))
