"""The models of one provider, found by their names, and further ones as the command line writes them."""

from __future__ import annotations

from collections.abc import Iterable

from bursar.sim.models import TABLE
from bursar.sim.prices import Model, PriceCard

ROUTING_VARIANTS = (":nitro", ":floor", ":exacto", ":online")
"""OpenRouter's: they say how a model is served, not which, so any id may carry one and none is listed."""


class Shelf:
    """The models of one provider, found by id, by the dated name they are served as, or by a free `tiny-` name."""

    def __init__(self, provider: str, extra: Iterable[Model] = ()) -> None:
        self.models: dict[str, Model] = {model.id: model for model in (*TABLE[provider], *extra)}
        self._by_name = {model.reported_name: model for model in self.models.values()} | self.models
        self._tiny = provider == "generic"
        self._variants = ROUTING_VARIANTS if provider == "openrouter" else ()

    def find(self, name: str) -> Model | None:
        """The model of this name, else None."""
        model = self._by_name.get(name)
        if model is not None:
            return model
        for variant in self._variants:
            if name.endswith(variant):
                return self._by_name.get(name.removesuffix(variant))
        if self._tiny and name.startswith("tiny-"):
            return Model(name, PriceCard(0), embedding_size=384 if "embed" in name else 0)
        return None


def parse_model(text: str) -> tuple[str, Model]:
    """Read `provider/model=INPUT,OUTPUT[,CACHED]`, prices in pico-USD per token; the first segment names the provider.

    Raises ValueError with one clear line.

    >>> card = parse_model("generic/house-7b=100,200")[1].card
    >>> card.input, card.output, card.cached
    (100, 200, None)
    """
    name, _, prices = text.partition("=")
    provider, _, model = name.partition("/")
    parts = prices.split(",")
    if provider not in TABLE or not model:
        raise ValueError(f"model {text!r}: expected provider/model=INPUT,OUTPUT, provider one of {', '.join(TABLE)}")
    if len(parts) not in (2, 3) or not all(part.strip().isdecimal() for part in parts):
        raise ValueError(f"model {text!r}: expected two or three prices in pico-USD per token, as in 150000,600000")
    numbers = [int(part) for part in parts]
    card = PriceCard(numbers[0], numbers[1], numbers[2] if len(numbers) == 3 else None)
    return provider, Model(model, card)
