"""What does Picky Assist say of a device, the balance, a group? Questions that send nothing and may be asked rarely.

"3 a minute" holds for the device's status ("Rate Limits"); whoever asks keeps the answer for that long.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import timedelta

import aiohttp

from providers.wire import CONNECT_LIMIT_S, Answer, NoAnswer, post

DEVICE_PATH = "/api/v2/device-status"
BALANCE_PATH = "/api/v2/check-balance"

#: The deadline of one question, connection set-up and standbys included.
PATIENCE = timedelta(seconds=15)


async def ask(
    session: aiohttp.ClientSession,
    path: str,
    *,
    urls: Sequence[str],
    token: str,
    application: str | None,
    patience: timedelta = PATIENCE,
    **more: str,
) -> Answer | NoAnswer:
    """Ask each base URL in turn until one answers; only connection set-up is tried again.

    `application` is Picky's channel id, None where the question is for the whole project; `more`: fields of the body.
    Raises only asyncio.CancelledError.
    """
    body = {"token": token, **({} if application is None else {"application": application}), **more}
    payload = json.dumps(body).encode()
    deadline_s = asyncio.get_running_loop().time() + patience.total_seconds()
    result: Answer | NoAnswer = NoAnswer("unreachable", "no address was tried", left=False)
    for url in urls:
        result = await post(session, url + path, payload, deadline_s=deadline_s, connect_s=CONNECT_LIMIT_S / 2)
        if isinstance(result, Answer) or result.left:
            break
    return result
