"""Is an address that is down left alone, and back in use soon after it answers?"""

from __future__ import annotations

from datetime import timedelta

import pytest

from providers.addresses import Addresses
from providers.circuit import FAILURES, FIRST_REST, JITTER, LONGEST_REST, PROBE_TAKES, Circuit, Circuits, Entry
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
