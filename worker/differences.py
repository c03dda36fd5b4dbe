"""Do the processes of a number agree, and can what a person set be? What is wrong is said once, until it changes."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import redis

from runtime.telemetry import Event, get_logger
from scheduler import control
from scheduler.control import Live
from scheduler.rules import NumberRules

log = get_logger("worker")


class Differences:
    """Compares what a process was started with to what others declared; used by the keeper's thread alone."""

    def __init__(self, client: redis.Redis, rules: Callable[[str], NumberRules]) -> None:
        self._client = client
        self._rules = rules
        self._said: dict[tuple[str, str], str] = {}

    def look(self, numbers: Sequence[str]) -> None:
        """Look at these numbers. TPS and shards aren't compared here: of those the lowest hold, and that is said."""
        if not numbers:
            return
        for number, live in zip(numbers, control.read_all(self._client, numbers), strict=True):
            self._compare(number, live)
            for bad in live.ignored:
                if self._new(number, bad.name, bad.text):
                    log.warning(
                        Event.SETTING_IGNORED, number=number, setting=bad.name, value=bad.text[:100], holds=bad.holds
                    )

    def _compare(self, number: str, live: Live) -> None:
        for name, ours in json.loads(control.told_of(self._rules(number))).items():
            others = [value for value in live.said(name) if value != ours]
            if others and self._new(number, name, " ".join(others)):
                log.warning(Event.SETTINGS_DIFFER, number=number, setting=name, ours=ours, others=others)

    def _new(self, number: str, name: str, text: str) -> bool:
        """Whether this wasn't said already."""
        known = self._said.get((number, name)) == text
        self._said[number, name] = text
        return not known
