"""Puts together who watches for alerts and who posts them, as the settings say."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bursar.call.books import Store
from bursar.call.events import AlertRaised, Observer
from bursar.config import Settings
from bursar.edges.alerting import Alerting
from bursar.edges.webhook import Webhook
from bursar.rules.alerts import DEFAULT_AT
from bursar.telemetry.alerts import body_of, form_of

__all__ = ["Alarms"]


class Alarms:
    """The alerts of one engine. `watch` is the observer that sees what is worth one; `close` before the books.

    Budgets that say nothing of their own alert at `DEFAULT_AT` where alerts go anywhere but the log.
    webhook: what posts them, None where nothing does.
    """

    def __init__(self, settings: Settings, store: Store, clock: Callable[[], int], raised: Observer) -> None:
        self.webhook = _webhook(settings)
        default_at = () if self.webhook is None else DEFAULT_AT
        self.watch = Alerting(store, clock, raised, deliver=self.webhook, default_at=default_at)

    def default_to(self, shares: Sequence[int] = DEFAULT_AT) -> None:
        """Have budgets that say nothing of their own alert at these shares, in percent."""
        self.watch.default_at = tuple(shares)

    def close(self) -> None:
        """Tell what there is to tell, within bounds, and end. Idempotent."""
        self.watch.close()
        if self.webhook is not None:
            self.webhook.close()


def _webhook(settings: Settings) -> Webhook | None:
    given, form = settings.alerts.webhook, settings.alerts.form
    if given is None or not given.named:
        return None

    def body(alert: AlertRaised, address: str) -> bytes:
        return body_of(alert, form_of(address, form))

    return Webhook(lambda: given.reveal("alerts.webhook"), body)
