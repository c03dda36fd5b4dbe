"""Is an address that is down left alone, and back in use soon after it answers?"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, cast

import pytest

from providers import Outcome, Row, Verdict
from providers.addresses import Addresses
from providers.circuit import FAILURES, FIRST_REST, JITTER, LONGEST_REST, PROBE_TAKES, Circuit, Circuits, Entry
from providers.picky import PickyProvider
from providers.wire import Answer, NoAnswer
from runtime.clock import FakeClock

SECOND = timedelta(seconds=1)


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands still."""
    return FakeClock()


@pytest.fixture
def circuit(clock: FakeClock) -> Circuit:
    """A circuit whose rests are as long as they are said to be."""
    return Circuit("http://a", clock=clock, random_part=lambda: 0.0)


def entered(circuit: Circuit) -> Entry:
    """Leave to try, which must be given."""
    entry = circuit.enter()
    assert entry is not None
    return entry


def opened(circuit: Circuit) -> None:
    """Let the address take no connection."""
    circuit.failed(entered(circuit), "refused", unreachable=True)
    assert circuit.open


def test_a_closed_circuit_lets_everything_in(circuit: Circuit) -> None:
    """Any number at a time, and none is a probe."""
    assert [entered(circuit).probe for _ in range(100)] == [False] * 100
    assert circuit.wait() == timedelta()


def test_an_address_that_takes_no_connection_is_left_alone_at_once(circuit: Circuit, clock: FakeClock) -> None:
    """Nobody else waits for a dead host; the first probe is due after a second."""
    opened(circuit)
    assert circuit.enter() is None
    assert circuit.wait() == FIRST_REST
    clock.advance(FIRST_REST)
    assert entered(circuit).probe


def test_errors_open_it_only_in_a_row(circuit: Circuit) -> None:
    """A good answer in between makes them forgotten."""
    for _ in range(3):
        for _ in range(FAILURES - 1):
            circuit.failed(entered(circuit), "HTTP 502")
        circuit.succeeded(entered(circuit))
    assert not circuit.open
    for _ in range(FAILURES):
        circuit.failed(entered(circuit), "HTTP 502")
    assert circuit.open


def test_one_probe_at_a_time(circuit: Circuit, clock: FakeClock) -> None:
    """Whoever comes while it is under way waits for it."""
    opened(circuit)
    clock.advance(FIRST_REST)
    entered(circuit)
    assert circuit.enter() is None
    assert circuit.wait() == PROBE_TAKES


def test_probes_come_ever_less_often(circuit: Circuit, clock: FakeClock) -> None:
    """Each that fails doubles the rest, up to the longest."""
    opened(circuit)
    rests = []
    for _ in range(8):
        rests.append(circuit.wait())
        clock.advance(circuit.wait())
        circuit.failed(entered(circuit), "refused", unreachable=True)
    assert rests == [min(LONGEST_REST, FIRST_REST * 2**i) for i in range(8)]


def test_a_probe_that_is_answered_closes_it(circuit: Circuit, clock: FakeClock) -> None:
    """And the next trouble begins with a short rest again."""
    opened(circuit)
    for _ in range(4):
        clock.advance(circuit.wait())
        circuit.failed(entered(circuit), "refused", unreachable=True)
    clock.advance(circuit.wait())
    circuit.succeeded(entered(circuit))
    assert not circuit.open
    assert not entered(circuit).probe
    opened(circuit)
    assert circuit.wait() == FIRST_REST


def test_what_was_under_way_before_says_nothing_of_now(circuit: Circuit, clock: FakeClock) -> None:
    """Old requests that time out after the address is back don't open it again, nor do old answers close it."""
    before = [entered(circuit) for _ in range(10)]
    opened(circuit)
    for entry in before[:5]:
        circuit.succeeded(entry)
    assert circuit.open
    clock.advance(FIRST_REST)
    circuit.succeeded(entered(circuit))
    for entry in before[5:]:
        circuit.failed(entry, "timeout", unreachable=True)
    assert not circuit.open


def test_a_probe_nobody_waited_for_lets_the_next_one_in(circuit: Circuit, clock: FakeClock) -> None:
    """A call that was cancelled says nothing of the address, and must not shut it for good."""
    opened(circuit)
    clock.advance(FIRST_REST)
    circuit.abandoned(entered(circuit))
    assert entered(circuit).probe


def test_processes_do_not_come_back_at_one_moment(clock: FakeClock) -> None:
    """A rest is longer by chance, by a fifth at the most."""
    rests = []
    for part in (0.0, 0.5, 1.0):
        one = Circuit("http://a", clock=clock, random_part=lambda part=part: part)  # type: ignore[misc]
        opened(one)
        rests.append(one.wait() / FIRST_REST)
    assert rests == pytest.approx([1, 1 + JITTER / 2, 1 + JITTER])


def test_the_numbers_of_a_process_share_what_they_learn() -> None:
    """One URL is one circuit, with or without a slash at its end."""
    circuits = Circuits(clock=FakeClock())
    one, other = Addresses(["http://a/"], circuits=circuits), Addresses(["http://a", "http://b"], circuits=circuits)
    circuit, entry = next(one.entries())
    circuit.failed(entry, "refused", unreachable=True)
    assert [circuit.url for circuit, _ in other.entries()] == ["http://b"]
    assert one.wait() >= FIRST_REST
    assert other.wait() == timedelta()


def test_a_primary_that_is_back_is_first_again() -> None:
    """The standby serves meanwhile; then a probe goes to the primary first."""
    clock = FakeClock()
    addresses = Addresses(["http://a", "http://b", " "], circuits=Circuits(clock=clock))
    assert [circuit.url for circuit, _ in addresses.entries()] == ["http://a", "http://b"]
    circuit, entry = next(addresses.entries())
    circuit.failed(entry, "refused", unreachable=True)
    assert [circuit.url for circuit, _ in addresses.entries()] == ["http://b"]
    clock.advance(2 * SECOND)
    assert [(entry.url, entry.probe) for _, entry in addresses.entries()] == [("http://a", True), ("http://b", False)]


# ------------------------------------------------------------------------------------------------- through a provider

ROWS = [Row(f"m{index}", f"39333123456{index}", "hello", {}) for index in range(3)]
REFUSED = NoAnswer("unreachable", "no connection", left=False)
BAD_GATEWAY = Answer(502, b"<html>")
SLOW_DOWN = Answer(503, b"", retry_after="5")


class Wire:
    """Answers as told, and writes down which rows went where."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *urls: str) -> None:
        self.clock = FakeClock()
        self.says: dict[str, Answer | NoAnswer | None] = dict.fromkeys(urls)
        self.asked: list[tuple[str, int]] = []
        monkeypatch.setattr("providers.picky.post", self._post)
        self._provider = PickyProvider(
            urls=urls, token="", application="8", timeout=30 * SECOND, session=cast("Any", None),
            circuits=Circuits(clock=self.clock),
        )  # fmt: skip

    def send(self, rows: Sequence[Row] = tuple(ROWS)) -> list[Outcome]:
        """Send rows."""
        return asyncio.run(self._provider.send(rows))

    async def _post(self, _: object, url: str, payload: bytes, **__: object) -> Answer | NoAnswer:
        host, rows = url.removesuffix("/api/v2/push"), json.loads(payload)["data"]
        self.asked.append((host, len(rows)))
        data = [{"number": row["number"], "msg_id": f"id{row['number']}"} for row in rows]
        return self.says[host] or Answer(200, json.dumps({"status": 100, "push_id": "p", "data": data}).encode())


def test_rows_that_reach_nobody_go_back_and_the_number_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing left, so nothing is used up; while the address is left alone nothing is even tried."""
    wire = Wire(monkeypatch, "http://a")
    wire.says["http://a"] = REFUSED
    for _ in range(2):
        outcomes = wire.send()
        assert {(o.verdict, o.left, o.throttled) for o in outcomes} == {(Verdict.RETRY, False, True)}
        assert all(1000 <= o.retry_after_ms <= 1200 for o in outcomes)
    assert wire.asked == [("http://a", 3)]


def test_a_probe_risks_one_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others go back without a rest when it is answered, with one when it is not."""
    wire = Wire(monkeypatch, "http://a")
    wire.says["http://a"] = BAD_GATEWAY
    for _ in range(FAILURES):
        assert {o.verdict for o in wire.send()} == {Verdict.UNCERTAIN}
    wire.clock.advance(2 * SECOND)
    first, *others = wire.send()
    assert first.verdict is Verdict.UNCERTAIN
    assert {(o.verdict, o.left, o.retry_after_ms > 0) for o in others} == {(Verdict.RETRY, False, True)}
    wire.clock.advance(3 * SECOND)
    wire.says["http://a"] = None
    first, *others = wire.send()
    assert (first.row_id, first.verdict) == ("m0", Verdict.SENT)
    assert [(o.row_id, o.verdict, o.left, o.retry_after_ms) for o in others] == [
        (row_id, Verdict.RETRY, False, 0) for row_id in ("m1", "m2")
    ]
    assert {o.verdict for o in wire.send()} == {Verdict.SENT}
    assert [rows for _, rows in wire.asked] == [3] * FAILURES + [1, 1, 3]


def test_a_standby_serves_while_the_primary_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """All rows go to it in one request; the primary gets a probe now and then, and takes over when it answers."""
    wire = Wire(monkeypatch, "http://a", "http://b")
    wire.says["http://a"] = REFUSED
    for _ in range(2):
        assert {o.verdict for o in wire.send()} == {Verdict.SENT}
    wire.clock.advance(2 * SECOND)
    assert {o.verdict for o in wire.send()} == {Verdict.SENT}
    assert wire.asked == [("http://a", 3), ("http://b", 3), ("http://b", 3), ("http://a", 1), ("http://b", 3)]
    wire.clock.advance(5 * SECOND)
    wire.says["http://a"] = None
    wire.send()
    assert {o.verdict for o in wire.send()} == {Verdict.SENT}
    assert wire.asked[-2:] == [("http://a", 1), ("http://a", 3)]


def test_a_provider_that_asks_for_a_pause_is_not_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """It answered, and said what it did with the rows: the number is slowed, the address stays open."""
    wire = Wire(monkeypatch, "http://a")
    wire.says["http://a"] = SLOW_DOWN
    for _ in range(2 * FAILURES):
        assert {(o.verdict, o.throttled, o.left) for o in wire.send()} == {(Verdict.RETRY, True, True)}
    assert len(wire.asked) == 2 * FAILURES
