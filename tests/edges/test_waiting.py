"""The waiting room: nobody passes one who waits for the same, others pass, and nothing is left of those who went."""

from __future__ import annotations

from collections import Counter

import pytest

from bursar.call.books import Adjust, Expire, Expired, Operation, Settle, Void
from bursar.edges.queues import TRIES_MAX
from bursar.edges.waiting import LOOK_ALONE_MS, LOOK_MS, RATE_LOOK_MS, TIMERS_SPARE
from bursar.errors import QueueFullError, StoreUnavailableError
from bursar.rules.fairness import Tenants
from tests.contract.store.material import HOUR_MS, SCOPES, Clock, budget, fact
from tests.edges.desk import FLIGHT, OTHER, TOKENS, Desk, openai, outcomes

# The order


def test_first_come_first_served() -> None:
    desk = Desk(budget())
    desk.ask("holder", 1_000)
    for name, size in (("a", 300), ("b", 700), ("c", 100)):
        desk.ask(name, size)
    assert desk.waiting() == {("day", ""): ["a", "b", "c"]}
    desk.settle("holder")
    assert desk.served == ["holder", "a", "b"]
    desk.settle("a")
    assert desk.served[3:] == ["c"]
    assert desk.empty()


def test_a_small_newcomer_does_not_pass_a_large_one_that_waits() -> None:
    desk = Desk(budget())
    desk.ask("holder", 300)
    large, small = desk.ask("large", 800), desk.ask("small", 100)
    assert outcomes([large, small]) == ["waits", "waits"]
    assert desk.waiting() == {("day", ""): ["large", "small"]}
    desk.settle("holder")
    assert desk.served == ["holder", "large", "small"]


def test_nor_in_the_same_transaction() -> None:
    desk = Desk(budget())
    desk.ask("holder", 300)
    desk.ask("large", 800)
    tickets = [desk.ask(f"small {number}", 100, decide=False) for number in range(3)]
    desk.step()
    assert outcomes(tickets) == ["waits"] * 3
    assert desk.held("day") == 300


def test_newcomers_are_let_in_together_with_those_before_them() -> None:
    desk = Desk(budget())
    desk.ask("holder", 300)
    waiting = desk.ask("large", 800)
    newcomers = [desk.ask(f"{number}", 100, decide=False) for number in range(3)]
    desk.books.transactions = 0
    desk.settle("holder")
    assert desk.books.transactions == 1
    assert outcomes([waiting, *newcomers]) == ["granted", "granted", "granted", "waits"]


def test_who_needs_nothing_of_it_passes() -> None:
    desk = Desk(openai(budget()), openai(TOKENS))
    desk.ask("holder", 1_000)
    desk.ask("waits", 500)
    assert outcomes([desk.ask("elsewhere", 500, scopes=OTHER)]) == ["granted"]
    assert outcomes([desk.ask("free", 0)]) == ["granted"], "it is bound by the budget, and needs nothing of it"


def test_a_queue_holds_up_no_other_subject() -> None:
    desk = Desk(budget(each="user"))
    desk.ask("holder", 1_000)
    desk.ask("waits", 500)
    assert outcomes([desk.ask("other", 500, scopes={"user": "bob"})]) == ["granted"]
    assert desk.waiting() == {("day", "ann"): ["waits"]}


def test_who_will_not_wait_does_not_pass_either_and_is_told_why() -> None:
    desk = Desk(budget())
    desk.ask("holder", 300)
    desk.ask("large", 800)
    ticket = desk.ask("small", 100, wait_ms=0)
    assert outcomes([ticket]) == ["behind on_release"]
    assert (ticket.outcome.needed, ticket.outcome.allowance.name) == (100, "day")
    desk.settle("holder")
    assert outcomes([desk.ask("again", 100, wait_ms=0)]) == ["granted"]


def test_why_somebody_waits_behind_others_says_how_long_they_still_wait() -> None:
    desk = Desk(TOKENS)
    desk.ask("holder", tokens=(60_000, 0))
    desk.ask("large", tokens=(700, 0))
    desk.clock.pass_ms(200)
    ticket = desk.ask("small", tokens=(100, 0), wait_ms=0)
    assert (ticket.outcome.reason, ticket.outcome.comeback, ticket.outcome.wait_ms) == ("behind", "later", 500)


def test_what_is_spent_is_refused_at_once_however_many_wait() -> None:
    desk = Desk(openai(TOKENS), budget(each="user"))
    desk.ask("spender", 1_000)
    desk.settle("spender", 1_000)
    desk.ask("holder", 10, tokens=(60_000, 0), scopes={"user": "bob"})
    desk.ask("waits", 10, tokens=(700, 0), scopes={"user": "bob"})
    ticket = desk.ask("spent", 10, tokens=(10, 0))
    assert outcomes([ticket]) == ["over never"]
    assert desk.waiting() == {("tokens", ""): ["waits"]}


def test_what_comes_after_its_time_is_refused_at_once() -> None:
    desk = Desk(TOKENS)
    desk.ask("holder", tokens=(60_000, 0))
    assert outcomes([desk.ask("late", tokens=(700, 0), wait_ms=700)]) == ["over later"]
    ticket = desk.ask("in time", tokens=(700, 0), wait_ms=701)
    assert outcomes([desk.ask("behind", tokens=(800, 0), wait_ms=750)]) == ["over later"], "looked at, and too late"
    desk.pass_ms(700)
    assert outcomes([ticket]) == ["granted"]
    assert desk.empty()


# Large among small


def test_a_large_call_gets_what_is_given_back_among_a_flood_of_small_ones() -> None:
    desk = Desk(budget())
    running = [f"early {number}" for number in range(10)]
    for name in running:
        desk.ask(name, 100)
    large = desk.ask("large", 900)
    for number in range(200):
        if large.delivered:
            break
        desk.ask(f"small {number}", 100)
        if number % 3 == 0:
            desk.settle(running.pop(0))
    assert outcomes([large]) == ["granted"]
    assert not running[1:], "as soon as enough of those before it had ended"
    assert desk.served[10] == "large"


@pytest.mark.parametrize("size", [3_000, 30_000, 60_000])
def test_a_large_call_gets_what_leaks_among_a_flood_of_small_ones(size: int) -> None:
    desk = Desk(TOKENS)
    desk.ask("holder", tokens=(60_000, 0))
    large = desk.ask("large", tokens=(size, 0), wait_ms=2 * HOUR_MS)
    begun_ms = desk.clock()
    for number in range(0, size, 500):
        desk.ask(f"small {number}", tokens=(20, 0))
        assert outcomes([large]) == ["waits"]
        desk.pass_ms(500)
    assert desk.served[1] == "large"
    assert desk.clock() == begun_ms + size, "in the very moment in which so much has leaked"
    assert desk.room.count > 0


# Timers


def test_a_head_is_due_when_its_denial_said_and_not_before() -> None:
    desk = Desk(TOKENS)
    desk.ask("holder", tokens=(60_000, 0))
    ticket = desk.ask("waits", tokens=(5_000, 0))
    desk.books.transactions = 0
    desk.pass_ms(4_999)
    assert (desk.books.transactions, outcomes([ticket])) == (0, ["waits"])
    desk.pass_ms(1)
    assert (desk.books.transactions, outcomes([ticket])) == (1, ["granted"])


@pytest.mark.parametrize(("shared", "look_ms"), [(True, LOOK_MS), (False, LOOK_ALONE_MS)])
def test_held_money_is_looked_for(shared: bool, look_ms: int) -> None:
    desk = Desk(budget(), shared=shared)
    desk.ask("holder", 1_000)
    ticket = desk.ask("waits", 500)
    desk.books.transact([Void("holder")], desk.clock)  # by another process, or by hand
    desk.pass_ms(look_ms - 1)
    assert outcomes([ticket]) == ["waits"]
    desk.pass_ms(1)
    assert outcomes([ticket]) == ["granted"]


def test_what_another_process_gives_back_of_a_rate_is_looked_for() -> None:
    desk = Desk(TOKENS, shared=True)
    desk.ask("holder", tokens=(60_000, 0))
    ticket = desk.ask("waits", tokens=(30_000, 0))
    desk.books.transact([Void("holder")], desk.clock)
    desk.pass_ms(RATE_LOOK_MS)
    assert outcomes([ticket]) == ["granted"]


@pytest.mark.parametrize(
    "ending",
    [
        Settle(fact("a")),
        Adjust(fact("a"), "its bill"),
        Void("a"),
        Void("a", fact("a", ending="not_sent")),
        Expire(),
    ],
    ids=lambda operation: type(operation).__name__,
)
def test_what_is_given_back_here_is_noticed_at_once(ending: Operation) -> None:
    expired: list[Expired] = []
    desk = Desk(FLIGHT, notice=expired.append)
    for name in ("a", "b"):
        desk.ask(name)
    ticket = desk.ask("waits")
    if isinstance(ending, Expire):
        desk.books.orphan()
    desk.tell(ending)
    assert outcomes([ticket]) == ["granted"]
    assert len(expired) == isinstance(ending, Expire)


def test_what_is_given_back_elsewhere_makes_nobody_try() -> None:
    desk = Desk(budget(each="user"))
    desk.ask("bobs", scopes={"user": "bob"})
    desk.ask("holder", 1_000)
    desk.ask("waits", 500)
    desk.books.transactions = 0
    desk.settle("bobs", scopes={**SCOPES, "user": "bob"})
    assert desk.books.transactions == 1


def test_who_has_waited_long_enough_is_told_why() -> None:
    desk = Desk(budget())
    desk.ask("holder", 1_000)
    tickets = [desk.ask("first", 500, wait_ms=80), desk.ask("second", 100, wait_ms=60)]
    desk.pass_ms(59)
    assert outcomes(tickets) == ["waits", "waits"]
    desk.pass_ms(1)
    assert outcomes(tickets) == ["waits", "over on_release"]
    desk.pass_ms(20)
    assert outcomes(tickets) == ["over on_release"] * 2
    assert desk.empty()


def test_when_the_head_goes_the_next_one_tries_at_once() -> None:
    for how in ("timed out", "cancelled"):
        desk = Desk(budget())
        desk.ask("holder", 500)
        large, small = desk.ask("large", 900, wait_ms=300), desk.ask("small", 500)
        if how == "cancelled":
            desk.cancel(large)
        else:
            desk.pass_ms(300)
        assert outcomes([small]) == ["granted"], how


def test_much_that_is_given_back_at_once_takes_few_transactions() -> None:
    desk = Desk(budget(capacity=10_000))
    for number in range(10):
        desk.ask(f"holder {number}", 1_000)
    tickets = [desk.ask(f"{number}", 100) for number in range(100)]
    desk.books.transactions = 0
    desk.tell(*(Void(f"holder {number}") for number in range(10)))
    assert outcomes(tickets) == ["granted"] * 100
    assert desk.books.transactions <= 4, "as many as were released, then twice as many each time"


def test_one_transaction_tries_no_more_than_it_should() -> None:
    desk = Desk(budget(capacity=100_000))
    desk.ask("holder", 100_000)
    for number in range(3 * TRIES_MAX):
        desk.ask(f"{number}", 100, decide=False)
    desk.decide()
    for _ in range(1_000):
        desk.room.released(None, desk.clock())
    desk.books.transact([Void("holder")], desk.clock)
    desk.step()
    assert len(desk.served) == 1 + TRIES_MAX


# The room


def test_a_full_room_takes_nobody_until_somebody_goes() -> None:
    desk = Desk(budget(), capacity=2)
    desk.ask("holder", 1_000)
    first = desk.ask("first", 500)
    desk.ask("second", 500)
    late = desk.ask("late", 500)
    assert isinstance(late.outcome, QueueFullError)
    assert late.outcome.retry_after_seconds == 1
    desk.cancel(first)
    assert outcomes([desk.ask("again", 500)]) == ["waits"]
    assert desk.teller.waiting == 2
    assert desk.teller.queues()["day"]["full"] == 1


def test_one_tenant_does_not_fill_the_room_for_the_others() -> None:
    desk = Desk(budget(capacity=100_000), capacity=90, tenants=Tenants("user", {"boss": 2}))
    desk.ask("holder", 100_000)
    flood = Counter(outcomes(desk.ask(f"{number}", 100, scopes={"user": "mob"}) for number in range(200)))
    assert flood == {"waits": 80, "QueueFullError": 120}
    others = outcomes(desk.ask(f"other {number}", 100, scopes={"user": f"{number}"}) for number in range(9))
    assert others == ["waits"] * 9
    assert outcomes([desk.ask("boss", 100, scopes={"user": "boss"})]) == ["waits"]
    assert outcomes([desk.ask("last", 100, scopes={"user": "last"})]) == ["QueueFullError"]


def test_callers_who_go_leave_nothing() -> None:
    desk = Desk(budget())
    desk.ask("holder", 1_000)
    tickets = [desk.ask(f"{number}", 500) for number in range(5)]
    for ticket in tickets[1:]:
        desk.cancel(ticket)
    assert desk.waiting() == {("day", ""): ["0"]}
    desk.cancel(tickets[0])
    assert desk.empty()
    desk.pass_ms(2 * HOUR_MS)
    desk.settle("holder")
    assert desk.held("day") == 0


def test_a_caller_who_goes_while_it_is_tried_gives_its_grant_back() -> None:
    desk = Desk(budget())
    desk.ask("holder", 1_000)
    ticket = desk.ask("waits", 500)
    desk.teller.tell(Void("holder"))
    desk.teller._wake.put(None)
    batch = desk.teller._collect()
    assert ticket in batch
    desk.cancel(ticket, decide=False)
    desk.teller._commit(batch)
    desk.decide()
    assert desk.held("day") == 0
    assert desk.empty()


def test_a_caller_who_goes_while_it_is_denied_is_not_parked() -> None:
    desk = Desk(budget())
    desk.ask("holder", 1_000)
    for name in ("newcomer", "behind"):
        ticket = desk.ask(name, 500, decide=False)
        desk.teller._wake.put(None)
        batch = desk.teller._collect()
        desk.cancel(ticket, decide=False)
        desk.teller._commit(batch)
        desk.decide()
        assert desk.empty()
        desk.ask("waits", 500)
        desk.cancel(desk._open[-1])


def test_books_that_fail_leave_nobody_waiting() -> None:
    desk = Desk(budget())
    desk.ask("holder", 1_000)
    tickets = [desk.ask("a", 500), desk.ask("b", 500, decide=False)]

    def fail(*_: object) -> list[object]:
        raise StoreUnavailableError("disk full")

    desk.books.transact = fail  # type: ignore[method-assign, assignment]
    desk.room.released(None, desk.clock())
    desk.step()
    assert outcomes(tickets) == ["StoreUnavailableError"] * 2
    assert desk.empty()


def test_one_who_breaks_the_books_leaves_the_line() -> None:
    desk = Desk(budget())
    desk.ask("holder", 1_000)
    tickets = [desk.ask("bad", 500), desk.ask("good", 500)]
    whole = desk.books.transact

    def breaking(operations: list[object], clock: Clock) -> list[object]:
        if any(getattr(each, "attempt_id", "") == "bad" for each in operations):
            raise ZeroDivisionError("a bug")
        return whole(operations, clock)  # type: ignore[arg-type, return-value]

    desk.books.transact = breaking  # type: ignore[method-assign, assignment]
    desk.settle("holder")
    assert outcomes(tickets) == ["StoreUnavailableError", "granted"]
    assert desk.empty()


def test_timers_that_lost_their_meaning_do_not_pile_up() -> None:
    desk = Desk(budget())
    desk.ask("holder", 1_000)
    desk.ask("waits", 900)
    for number in range(3_000):
        desk.cancel(desk.ask(f"{number}", 500))
        desk.room.released(None, desk.clock() + 1)
        desk.room._arrange(desk.room._queues["day", ""], desk.clock())
    assert len(desk.room._deadlines) <= 2 * (2 + TIMERS_SPARE)
    assert len(desk.room._due) <= 2 * (2 + TIMERS_SPARE)


def test_everybody_is_answered_in_the_end() -> None:
    desk = Desk(budget(each="user"))
    for user in ("ann", "bob"):
        desk.ask(f"{user} holds", 1_000, scopes={"user": user})
    tickets = [desk.ask(f"{number}", 500, scopes={"user": "ab"[number % 2] and ("ann", "bob")[number % 2]})
               for number in range(4)]  # fmt: skip
    assert [ticket for ticket, _ in desk.room.empty(desk.clock())] == tickets
    assert desk.empty()
