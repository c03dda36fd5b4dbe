"""What do tests of gateway processes share: a gateway that is started, asked, and ended in any way?"""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

from tests.harness.home import throwaway_home
from tests.harness.processes import RunningProcess

KEY = "s3cret"
TOKEN = "t0ken"
READY = r"^gateway ready on (http://\S+)$"


class Gateway(RunningProcess):
    """A gateway process for some numbers; `app` is where it forwards to."""

    def __init__(self, redis_url: str, *numbers: str, app: str = "", env: Mapping[str, str] | None = None) -> None:
        settings = {
            "HEADWAY_REDIS_URL": redis_url,
            "HEADWAY_HOME": throwaway_home(),
            "HEADWAY_NUMBERS": ",".join(numbers),
            "HEADWAY_API_TOKENS": TOKEN,
            "HEADWAY_WEBHOOK_KEY": KEY,
            "HEADWAY_FORWARD_URL": app,
            "HEADWAY_LOG": "json",
        }
        super().__init__([sys.executable, "-m", "gateway.serve", "--port", "0"], env={**settings, **(env or {})})

    def ready(self) -> str:
        """Wait until it takes requests; return its address."""
        return self.wait_for_line(READY)[1]

    def hook(self, number: str, body: object) -> tuple[int, Any]:
        """Send a webhook; return status and JSON of the answer."""
        url = f"{self.ready()}/webhooks/picky/{number}?key={KEY}"
        request = urllib.request.Request(url, json.dumps(body).encode())  # noqa: S310  loopback
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310  loopback
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as refused:
            return refused.code, json.loads(refused.read())
