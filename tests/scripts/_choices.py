"""Who decides what happens next in a walk: Hypothesis, which can shrink it, or a seeded generator, which is fast?"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

from hypothesis import strategies as st

T = TypeVar("T")


class Choices(Protocol):
    """What a move asks, one question at a time."""

    def pick(self, options: Sequence[T]) -> T:
        """One of these."""

    def some(self, options: Sequence[T], *, most: int = 20) -> list[T]:
        """One to `most` of these, some perhaps twice."""

    def flag(self) -> bool:
        """Yes or no."""


class Drawn:
    """Hypothesis decides."""

    def __init__(self, data: st.DataObject) -> None:
        self._draw = data.draw

    def pick(self, options: Sequence[T]) -> T:
        """One of these."""
        return self._draw(st.sampled_from(options))

    def some(self, options: Sequence[T], *, most: int = 20) -> list[T]:
        """One to `most` of these, some perhaps twice."""
        return self._draw(st.lists(st.sampled_from(options), min_size=1, max_size=most))

    def flag(self) -> bool:
        """Yes or no."""
        return self._draw(st.booleans())


class Seeded:
    """A seeded generator decides; `log` is what it decided since it was last cleared."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.log: list[Any] = []

    def pick(self, options: Sequence[T]) -> T:
        """One of these."""
        self.log.append(picked := options[int(self.random.random() * len(options))])
        return picked

    def some(self, options: Sequence[T], *, most: int = 20) -> list[T]:
        """One to `most` of these, some perhaps twice."""
        self.log.append(picked := self.random.choices(options, k=self.random.randint(1, most)))
        return picked

    def flag(self) -> bool:
        """Yes or no."""
        self.log.append(picked := self.random.random() < 0.5)
        return picked
