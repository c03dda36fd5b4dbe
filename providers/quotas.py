"""How often does a provider let itself be asked? Named quotas, requests in any sliding minute, as data.

From Picky Assist's page "Rate Limits". What is over a limit is dropped and not processed, which nobody is told of.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class Request(StrEnum):
    """A kind of request that a provider counts; the name of its quota."""

    #: A push, with one row or thousands.
    PUSH = "push"
    #: What a device or the balance is asked.
    STATUS = "status"
    #: Who is in a group.
    GROUP = "group-details"
    #: A connector that gives messages to Picky.
    CONNECTOR_INBOUND = "connector-inbound"
    #: An HTTP action of a connector.
    CONNECTOR_ACTION = "connector-action"


@dataclass(frozen=True, slots=True)
class NamedQuota:
    """Requests of one kind that a provider takes in any minute from one account."""

    name: str
    per_minute: int


#: The page has no limit for groups' details: asked as rarely as for a device's status.
_PICKY = {
    Request.PUSH: 90,
    Request.STATUS: 3,
    Request.GROUP: 3,
    Request.CONNECTOR_INBOUND: 10,
    Request.CONNECTOR_ACTION: 3,
}

#: Provider -> kind of request -> its quota. A kind that isn't here has none.
QUOTAS: Mapping[str, Mapping[Request, NamedQuota]] = MappingProxyType(
    {"picky": MappingProxyType({kind: NamedQuota(kind.value, most) for kind, most in _PICKY.items()})}
)


def quota_of(provider: str, kind: Request) -> NamedQuota | None:
    """Return the quota for a kind of request, or None where the provider has none."""
    return QUOTAS.get(provider, {}).get(kind)
