"""How many members has a group, as Picky Assist tells it? `/api/v2/group-details`, from its page "Group details"."""

from __future__ import annotations

import json
from typing import Any

from providers.wire import Answer, NoAnswer

DETAILS_PATH = "/api/v2/group-details"

_SUCCESS = "100"
_OK = 200


class NotToldError(ValueError):
    """An answer doesn't say how many members a group has."""


def members(answer: Answer | NoAnswer) -> int:
    """Return the number of members in an answer. Raises NotToldError, which says why."""
    if isinstance(answer, NoAnswer):
        raise NotToldError(f"{answer.code}: {answer.reason}")
    try:
        found: Any = json.loads(answer.body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise NotToldError(f"HTTP {answer.http_status} with an answer that can't be read")
    if answer.http_status != _OK or str(found.get("status")) != _SUCCESS:
        raise NotToldError(f"HTTP {answer.http_status}, status {str(found.get('status'))[:20]}")
    lists = [found.get(name) for name in ("group_members", "group_admins")]
    most = max((len(people) for people in lists if isinstance(people, list)), default=0)
    if not most:
        raise NotToldError("the answer names no members")
    return most
