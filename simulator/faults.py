"""What is the sink asked to do wrong, and for how long does it think?"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

_MODE = re.compile(r"(ok|hang|cut|garbage|twice)|(fail):([0-9]{1,4})|(http):([1-5][0-9]{2})")


@dataclass(frozen=True, slots=True)
class Mode:
    """How every push is answered.

    Attributes:
        kind: `ok`; `hang` (takes the rows, never answers); `cut` (takes the rows, closes the connection unanswered);
            `garbage` (takes the rows, answers what nobody can read); `twice` (takes the rows, and says so twice);
            `fail` (takes nothing, answers with a status in the body); `http` (takes nothing, answers an HTTP status).
        status: the status of `fail` and `http`; 0 otherwise.
    """

    kind: str = "ok"
    status: int = 0

    @property
    def takes(self) -> bool:
        """Are rows taken, as far as the sink is concerned?"""
        return self.kind in {"ok", "hang", "cut", "garbage", "twice"}

    @classmethod
    def of(cls, text: str) -> Mode:
        """Read `ok`, `hang`, `cut`, `fail:401` or `http:500`. Raises ValueError for anything else."""
        match = _MODE.fullmatch(text)
        if not match:
            raise ValueError(f"{text!r} is no mode: use ok, hang, cut, garbage, twice, fail:<status> or http:<status>")
        plain, fail, fail_status, http, http_status = match.groups()
        return cls(plain or fail or http, int(fail_status or http_status or 0))

    def __str__(self) -> str:
        return f"{self.kind}:{self.status}" if self.status else self.kind


@dataclass(slots=True)
class Faults:
    """The sink's present behaviour; it can be changed while it runs."""

    mode: Mode = Mode()
    latency_ms: int = 0

    def change(self, wish: Any) -> None:
        """Take what `POST /control` asks for. Raises ValueError, and then nothing is changed."""
        if not isinstance(wish, dict):
            raise ValueError('send an object like {"mode": "ok", "latency_ms": 0}')  # noqa: TRY004  the caller catches one
        mode = Mode.of(str(wish["mode"])) if "mode" in wish else self.mode
        latency_ms = wish.get("latency_ms", self.latency_ms)
        if isinstance(latency_ms, bool) or not isinstance(latency_ms, int) or not 0 <= latency_ms <= 600_000:
            raise ValueError("latency_ms must be a whole number from 0 to 600000")
        self.mode, self.latency_ms = mode, latency_ms

    def told(self) -> dict[str, Any]:
        """Return the present behaviour as JSON."""
        return {"mode": str(self.mode), "latency_ms": self.latency_ms}
