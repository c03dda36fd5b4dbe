"""Which of a provider's base URLs is tried, and when: the primary or a standby?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta

from providers.circuit import Circuit, Circuits, Entry


class Addresses:
    """A primary and its standbys: the first whose circuit lets a request in.

    So a primary that is down costs a probe now and then, and is back in use with the first one that is answered.
    """

    def __init__(self, urls: Sequence[str], *, circuits: Circuits | None = None) -> None:
        """Take base URLs, primary first, and the process's circuits. Raises ValueError when there is no URL."""
        circuits = circuits or Circuits()
        self._circuits = [circuits.of(url.rstrip("/")) for url in urls if url.strip()]
        if not self._circuits:
            raise ValueError("a provider needs at least one URL")

    def __len__(self) -> int:
        return len(self._circuits)

    def entries(self) -> Iterator[tuple[Circuit, Entry]]:
        """Go through those that may be tried now, in order; whoever takes one must end it before the next."""
        for circuit in self._circuits:
            entry = circuit.enter()
            if entry is not None:
                yield circuit, entry

    @property
    def next_url(self) -> str:
        """The base URL that a request would go to now; empty: none, or a probe, for which nothing is made ready."""
        return next((circuit.url for circuit in self._circuits if not circuit.open), "")

    def wait(self) -> timedelta:
        """Return how long until one of them may be tried again."""
        return min(circuit.wait() for circuit in self._circuits)
