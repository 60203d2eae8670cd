"""Who comes in: keys by their whole digest and nothing else, whatever is sent in their place."""

from __future__ import annotations

import logging
import subprocess
import sys
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.edges.stores.keyring import MemoryKeyring
from bursar.edges.stores.memory import MemoryStore
from bursar.edges.stores.sqlite import SqliteStore
from bursar.errors import StoreUnavailableError
from bursar.gateway.auth import LOOK_MS, UNKNOWN_LOOKS, Doorkeeper, NotAllowedError
from bursar.gateway.keys import Keysmith, Wanted
from bursar.gateway.secret import digest_of, secret_of
from bursar.rules.keys import CallerKey, mint
from bursar.testing import ManualClock

SECRET = b"a secret of the tests, thirty-two bytes"
CORPUS = [
    b"'", b"' OR '1'='1", b"' OR 1=1 --", b"'; DROP TABLE keys; --", b'" OR ""="', b"\\'; SELECT * FROM keys; --",
    b"1 UNION SELECT body FROM keys", b"x' AND (SELECT count(*) FROM keys) > 0 --", b"${jndi:ldap://x}", b"{{7*7}}",
    b"%27%20OR%201=1", b"\x00\x01\x02", b"\xff\xfe", "ключ".encode(), b"a" * 100_000, b"sk-bursar-" + b"a" * 43,
    b"NULL", b"%s%s%n", b"../../etc/passwd", b"\r\nX-Injected: 1", b"' || (SELECT body FROM keys LIMIT 1) || '", b"?1",
    b":digest",
]  # fmt: skip


class CountingKeyring(MemoryKeyring):
    """A keyring that counts how often it is looked at."""

    def __init__(self) -> None:
        super().__init__()
        self.looks = 0

    def version(self) -> int:
        self.looks += 1
        return super().version()


class Gate:
    """A doorkeeper of some books, and who makes keys for it."""

    def __init__(self, store: MemoryStore | SqliteStore, secret: bytes = SECRET) -> None:
        self.clock = ManualClock()
        self.store = store
        self.smith = Keysmith(store, secret, self.clock)
        self.door = Doorkeeper(store.keyring, secret, self.clock)

    def make(self, name: str, **fields: object) -> str:
        return self.smith.create(Wanted(name, **fields)).text  # type: ignore[arg-type]

    def who(self, text: str) -> str:
        """The name of the key, or the code of the refusal."""
        try:
            return self.door.who({b"authorization": f"Bearer {text}".encode()}).name
        except NotAllowedError as error:
            return error.code if error.status == 401 else str(error.status)


@pytest.fixture
def gate() -> Gate:
    return Gate(MemoryStore())


def code_of(gate: Gate, headers: dict[bytes, bytes]) -> str:
    with pytest.raises(NotAllowedError) as raised:
        gate.door.who(headers)
    return raised.value.code


@pytest.mark.parametrize("name", [b"authorization", b"x-api-key", b"api-key"])
def test_a_key_comes_in_any_of_three_headers(gate: Gate, name: bytes) -> None:
    text = gate.make("ci").encode()
    prefix = b"Bearer " if name == b"authorization" else b""
    assert gate.door.who({name: prefix + text}).name == "ci"
    assert code_of(gate, {name: prefix + text + b"x"}) == "invalid_api_key"


def test_the_word_bearer_may_be_written_in_any_case(gate: Gate) -> None:
    text = gate.make("ci").encode()
    for prefix in (b"bearer ", b"BEARER ", b"Bearer  "):
        assert gate.door.who({b"authorization": prefix + text}).name == "ci"
    for wrong in (text, b"Basic " + text, b"Bearer" + text, b"Token " + text):
        assert code_of(gate, {b"authorization": wrong}) == "invalid_api_key"


def test_the_same_key_twice_is_one_and_two_that_differ_are_none(gate: Gate) -> None:
    one, other = gate.make("one").encode(), gate.make("other").encode()
    assert gate.door.who({b"authorization": b"Bearer " + one, b"x-api-key": one, b"api-key": one}).name == "one"
    assert code_of(gate, {b"authorization": b"Bearer " + one, b"x-api-key": other}) == "several_api_keys"
    assert code_of(gate, {b"api-key": one, b"x-api-key": other}) == "several_api_keys"
    assert code_of(gate, {b"authorization": b"Basic abc", b"x-api-key": one}) == "invalid_api_key"


@pytest.mark.parametrize("headers", [{}, {b"authorization": b""}, {b"x-api-key": b""}, {b"authorization": b"Bearer "}])
def test_without_a_key_nobody_comes_in(gate: Gate, headers: dict[bytes, bytes]) -> None:
    gate.make("ci")
    assert code_of(gate, headers) == "missing_api_key"


def test_a_digest_is_no_key(gate: Gate) -> None:
    digest = digest_of(SECRET, gate.make("ci"))
    assert gate.who(digest) == "invalid_api_key"


def test_under_another_secret_no_key_counts(gate: Gate) -> None:
    text = gate.make("ci")
    other = Doorkeeper(gate.store.keyring, b"another secret", gate.clock)
    with pytest.raises(NotAllowedError):
        other.who({b"x-api-key": text.encode()})


def test_a_new_key_counts_at_once(gate: Gate) -> None:
    assert gate.who(mint(bytes(32))) == "invalid_api_key"
    assert gate.who(gate.make("ci")) == "ci"


def test_a_revoked_key_ends_within_a_second(gate: Gate) -> None:
    text = gate.make("ci")
    assert gate.who(text) == "ci"
    gate.smith.revoke("ci")
    gate.clock.advance(LOOK_MS / 1000)
    assert gate.who(text) == "key_revoked"


def test_what_changes_of_a_key_is_known_within_a_second(gate: Gate) -> None:
    text = gate.make("ci")
    gate.who(text)
    gate.smith.change("ci", {"role": "view", "models": ("fast",)})
    gate.clock.advance(1)
    key = gate.door.who({b"api-key": text.encode()})
    assert (key.role, key.models) == ("view", ("fast",))


def test_a_clock_that_goes_back_does_not_hide_a_revocation(gate: Gate) -> None:
    text = gate.make("ci")
    assert gate.who(text) == "ci"
    gate.smith.revoke("ci")
    gate.clock.advance(-3_600)
    assert gate.who(text) == "key_revoked"


def test_a_key_expires_by_the_clock_alone(gate: Gate) -> None:
    text = gate.make("ci", expires_ms=gate.clock() + 10)
    assert gate.who(text) == "ci"
    gate.clock.advance(0.009)
    assert gate.who(text) == "ci"
    gate.clock.advance(0.001)
    assert gate.who(text) == "key_expired"


def test_a_rotated_key_counts_with_both_texts_until_the_overlap_ends(gate: Gate) -> None:
    old = gate.make("ci")
    new = gate.smith.rotate("ci", 60).text
    assert (gate.who(old), gate.who(new)) == ("ci", "ci")
    gate.clock.advance(59.999)
    assert gate.who(old) == "ci"
    gate.clock.advance(0.001)
    assert (gate.who(old), gate.who(new)) == ("key_rotated", "ci")
    newest = gate.smith.rotate("ci", 0).text
    gate.clock.advance(1)
    assert (gate.who(old), gate.who(new), gate.who(newest)) == ("invalid_api_key", "invalid_api_key", "ci")


def test_a_flood_of_wrong_keys_costs_a_few_looks_a_second() -> None:
    store = MemoryStore()
    ring = store.keyring = CountingKeyring()
    gate = Gate(store)
    text = gate.make("ci")
    gate.who(text)
    ring.looks = 0
    for at in range(2_000):
        assert gate.who(f"sk-bursar-{at}") == "invalid_api_key"
    assert ring.looks == UNKNOWN_LOOKS
    assert gate.who(text) == "ci", "those who are known come in meanwhile"
    late = gate.make("late")
    assert gate.who(late) == "invalid_api_key", "nobody else is looked for in this second"
    gate.clock.advance(1)
    assert gate.who(late) == "late"
    assert ring.looks <= UNKNOWN_LOOKS + 2


CALLERS = st.lists(
    st.tuples(st.text("ab", min_size=1, max_size=4), st.text("ab", max_size=60)),
    min_size=2,
    max_size=8,
    unique_by=(lambda one: one[0], lambda one: one[1]),
)


@given(CALLERS)
def test_no_two_callers_are_ever_taken_for_each_other(callers: list[tuple[str, str]]) -> None:
    """Keys that begin or end alike, or contain each other, are as different as any others."""
    ring, clock = MemoryKeyring(), ManualClock()
    for name, tail in callers[1:]:
        ring.put(CallerKey(name, f"key_{name}", ((digest_of(SECRET, f"sk-bursar-{tail}"), None),), 0, team=name))
    door = Doorkeeper(ring, SECRET, clock)
    for name, tail in callers[1:]:
        for headers in (
            {b"x-api-key": f"sk-bursar-{tail}".encode()},
            {b"authorization": f"bearer sk-bursar-{tail}".encode()},
        ):
            assert (door.who(headers).name, door.who(headers).team) == (name, name)
    with pytest.raises(NotAllowedError):
        door.who({b"x-api-key": f"sk-bursar-{callers[0][1]}".encode()})


@pytest.fixture
def traced(tmp_path: Path) -> Iterator[tuple[Gate, list[str]]]:
    """A gate on books in a file, and every statement that their connections run, with its values."""
    store = SqliteStore(tmp_path / "books.db")
    said: list[str] = []
    gate = Gate(store)
    gate.make("ci")
    for connecting in (store._connections.reading, store._connections.committing):
        with connecting() as connection:
            connection.set_trace_callback(said.append)
    yield gate, said
    store.close()


def test_what_is_sent_never_reaches_the_database(traced: tuple[Gate, list[str]]) -> None:
    gate, said = traced
    for text in CORPUS:
        for headers in ({b"authorization": b"Bearer " + text}, {b"x-api-key": text}, {b"api-key": text}):
            with pytest.raises(NotAllowedError) as raised:
                gate.door.who(headers)
            assert raised.value.status == 401
            gate.clock.advance(1)
    assert said, "the tracing works"
    assert set(said) <= {
        "BEGIN",
        "COMMIT",
        "SELECT version FROM keyring",
        "SELECT body FROM keys WHERE version > 0 ORDER BY name",
    }
    (key,) = gate.store.keyring.keys()
    assert key.name == "ci"


def test_by_its_digest_a_key_is_found_with_nothing_but_a_parameter(traced: tuple[Gate, list[str]]) -> None:
    gate, said = traced
    digest = digest_of(SECRET, CORPUS[1].decode())
    assert gate.store.keyring.by_digest(digest) is None
    (looked,) = [statement for statement in said if "key_digests" in statement]
    assert looked.endswith(f"digest = '{digest}'")


def test_what_is_sent_is_in_no_log_no_error_and_no_repr(gate: Gate, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    canary, made = mint(b"canary" * 5 + b"ca"), gate.smith.create(Wanted("ci"))
    told = [repr(made), str(made), repr(made.key), repr(gate.door), repr(gate.smith)]
    for text in (canary, made.text):
        for headers in (
            {b"authorization": f"Bearer {text}".encode(), b"api-key": b"another"},
            {b"authorization": f"Basic {text}".encode()},
            {b"x-api-key": f"{text}x".encode()},
        ):
            try:
                gate.door.who(headers)
            except NotAllowedError as error:
                told += [str(error), repr(error), error.message, error.code, traceback.format_exc()]
    for text in (canary, made.text, SECRET.decode()):
        assert text not in caplog.text + "".join(told)
        assert text.removeprefix("sk-bursar-") not in caplog.text + "".join(told)


def test_when_the_books_cannot_be_read_nobody_comes_in(tmp_path: Path) -> None:
    gate = Gate(SqliteStore(tmp_path / "books.db"))
    text = gate.make("ci")
    assert gate.who(text) == "ci"
    gate.store.close()
    gate.clock.advance(1)
    with pytest.raises(StoreUnavailableError):
        gate.who(text)


def test_another_process_revokes_a_key(tmp_path: Path) -> None:
    path = tmp_path / "books.db"
    gate = Gate(SqliteStore(path), secret_of(path, {}))
    text = gate.make("ci")
    assert gate.who(text) == "ci"
    command = [sys.executable, "-m", "bursar", "keys", "revoke", "ci", "--books", str(path)]
    subprocess.run(command, check=True, capture_output=True, timeout=60, cwd=tmp_path)
    gate.clock.advance(LOOK_MS / 1000)
    assert gate.who(text) == "key_revoked"
    gate.store.close()


def test_threads_that_ask_at_once_are_told_the_same(gate: Gate) -> None:
    texts = {f"k{at}": gate.make(f"k{at}") for at in range(8)}

    def ask(at: int) -> bool:
        name = f"k{at % 8}"
        if at % 50 == 0:
            gate.smith.change(name, {"tags": {"at": str(at)}})
            gate.clock.advance(1)
        return gate.who(texts[name]) == name

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(2_000)))
