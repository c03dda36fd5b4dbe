"""Which leases does this process hold?

It belongs to the process, not to a connection: kombu makes its channels and their bookkeeping anew after each
reconnect, while the pool goes on with what it has.
"""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from headway import keys


@dataclass(frozen=True, slots=True)
class HeldLease:
    """A lease that this process holds, with the ids of its rows. `number`: the unit that it is of."""

    number: str
    lease_id: str
    message_ids: tuple[str, ...]


class Registry:
    """Leases by the delivery tag of the Celery message that carries them. Thread-safe.

    How many there are is asked before each lease, so that is kept, not counted.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_tag: dict[str, dict[str, HeldLease]] = {}
        self._of_unit: Counter[str] = Counter()
        #: For each number, how many leases each Celery message carries of it.
        self._tags: defaultdict[str, Counter[str]] = defaultdict(Counter)

    def hold(self, tag: str, leases: Iterable[HeldLease]) -> None:
        """Hold the leases of one Celery message."""
        with self._lock:
            self._by_tag[tag] = {lease.lease_id: lease for lease in leases}
            for lease in self._by_tag[tag].values():
                self._of_unit[lease.number] += 1
                self._tags[keys.number_of_unit(lease.number)][tag] += 1

    def settled(self, tag: str, lease_id: str) -> None:
        """One of its leases has ended as it should."""
        with self._lock:
            lease = self._by_tag.get(tag, {}).pop(lease_id, None)
            if lease is not None:
                self._forget(tag, lease)

    def release(self, tag: str) -> list[HeldLease]:
        """Forget a Celery message and return those of its leases that had not ended."""
        with self._lock:
            held = list(self._by_tag.pop(tag, {}).values())
            for lease in held:
                self._forget(tag, lease)
            return held

    def release_all(self) -> list[HeldLease]:
        """Forget everything and return the leases that had not ended."""
        with self._lock:
            held = [lease for leases in self._by_tag.values() for lease in leases.values()]
            self._by_tag.clear()
            self._of_unit.clear()
            self._tags.clear()
            return held

    def held(self) -> list[HeldLease]:
        """Return the leases that are held now."""
        with self._lock:
            return [lease for leases in self._by_tag.values() for lease in leases.values()]

    def count(self, unit: str) -> int:
        """Return how many leases of a unit are held."""
        with self._lock:
            return self._of_unit.get(unit, 0)

    def parcels(self, number: str) -> int:
        """Return how many Celery messages carry leases of a number, of whichever of its shards."""
        with self._lock:
            return len(self._tags.get(number, ()))

    def __contains__(self, tag: str) -> bool:
        with self._lock:
            return tag in self._by_tag

    def _forget(self, tag: str, lease: HeldLease) -> None:
        _less(self._of_unit, lease.number)
        tags = self._tags[keys.number_of_unit(lease.number)]
        _less(tags, tag)
        if not tags:
            del self._tags[keys.number_of_unit(lease.number)]


def newest_first(leases: Iterable[HeldLease]) -> list[HeldLease]:
    """Return leases in the order in which to end them: each one's rows go to the head of their lane, before all others
    there, so the oldest one comes last. A holder's leases are numbered (`worker.fetch`).
    """
    return sorted(leases, key=_serial, reverse=True)


def _serial(lease: HeldLease) -> int:
    serial = lease.lease_id.rpartition("-")[2]
    return int(serial) if serial.isascii() and serial.isdigit() else 0


def _less(counts: Counter[str], name: str) -> None:
    """One less; what comes to nothing is forgotten."""
    counts[name] -= 1
    if not counts[name]:
        del counts[name]
