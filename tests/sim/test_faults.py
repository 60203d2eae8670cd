"""How faults are written, which requests they meet, and that chances come from the seed."""

from __future__ import annotations

import pytest

from bursar.sim.faults import KINDS, Fault, FaultBook, Rule, parse_fault, parse_rule, read_rules


def test_faults_are_read_with_their_value_and_names() -> None:
    assert parse_fault("status:503") == Fault("status", status=503)
    assert parse_fault("status:429,retry_after=0.5,code=insufficient_quota") == Fault(
        "status", status=429, retry_after_seconds=0.5, code="insufficient_quota"
    )
    assert parse_fault("stall:5,after_chunks=3") == Fault("stall", seconds=5, after_chunks=3)
    assert parse_fault("refuse,billed=true").bills
    assert not parse_fault("refuse").bills
    assert parse_fault("drop:2").bills
    rule = parse_rule("model_down,provider=openrouter,model=openai/gpt-4o,times=2,probability=0.5")
    assert rule == Rule(Fault("model_down"), "openrouter", "openai/gpt-4o", 2, 0.5)
    for kind, value in KINDS.items():
        assert parse_fault(f"{kind}:503" if value == "status" else kind).kind == kind


@pytest.mark.parametrize(
    "written",
    [
        "",
        "nothing",
        "status",
        "status:x",
        "status:99",
        "status:600",
        "refuse:1",
        "stall:-1",
        "stall:nan",
        "drop:-1",
        "drop:1,colour=red",
        "drop,after_chunks",
        "absurd_usage:silly",
        "oversized:999999999999",
        "drop,probability=2",
    ],
)
def test_a_badly_written_fault_is_one_clear_line(written: str) -> None:
    with pytest.raises(ValueError, match="fault") as caught:
        parse_rule(written)
    assert "\n" not in str(caught.value)


def test_rules_are_read_from_json() -> None:
    rules = read_rules(b'[{"kind":"status","status":500,"times":1}, "drop:2"]')
    assert [rule.fault.kind for rule in rules] == ["status", "drop"]
    for wrong in (b"{", b"{}", b'[{"kind":"status","colour":1}]', b'[{"kind":"none"}]', b"[1]"):
        with pytest.raises(ValueError, match="fault"):
            read_rules(wrong)


def test_the_first_matching_rule_wins_and_counted_ones_are_used_up() -> None:
    book = FaultBook(0, (parse_rule("drop,model=a,times=2"), parse_rule("empty,provider=groq")))
    assert [getattr(book.meet("groq", "a"), "kind", None) for _ in range(3)] == ["drop", "drop", "empty"]
    assert book.meet("openai", "b") is None


def test_chances_come_from_the_seed() -> None:
    def drawn(seed: int) -> list[bool]:
        book = FaultBook(seed, (parse_rule("drop,probability=0.3"),))
        return [book.meet("openai", "m") is not None for _ in range(200)]

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)
    assert 30 < sum(drawn(1)) < 90
