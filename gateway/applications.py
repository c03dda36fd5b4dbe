"""Which number does a request's `application` mean? The number itself, or the channel id that the provider gave it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from gateway.body import shown
from gateway.problems import NotFound
from runtime.settings import Settings


class Applications:
    """The numbers of HEADWAY_NUMBERS, by themselves and by their HEADWAY_APPLICATION."""

    def __init__(self, settings: Settings) -> None:
        channels: defaultdict[str, list[str]] = defaultdict(list)
        for number in settings.numbers:
            channels[settings.number(number).application].append(number)
        self.numbers = settings.numbers
        self._channels: Mapping[str, list[str]] = channels

    def find(self, application: str) -> str | None:
        """Return the number, or None: nobody's, or a channel id that several numbers share."""
        if application in self.numbers:
            return application
        found = self._channels.get(application, [])
        return found[0] if len(found) == 1 else None

    def require(self, application: str) -> str:
        """Return the number. Raises NotFound, which says what to write instead."""
        found = self.find(application)
        if found is not None:
            return found
        if application in self._channels:
            raise NotFound(f"application: {shown(application)} belongs to several numbers; write the number itself")
        raise NotFound(f"application: {shown(application)!r} is no number of HEADWAY_NUMBERS and no channel id of one")
