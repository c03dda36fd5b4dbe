"""Which provider does a name in the settings mean?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from types import MappingProxyType

import aiohttp

from headway.errors import SettingError
from providers import picky_request
from providers.base import Provider
from providers.circuit import Circuits
from providers.picky import PickyProvider

#: Name -> kwargs that belong to the request.
_SHAPES: Mapping[str, tuple[str, ...]] = MappingProxyType({"picky": picky_request.SHAPE_FIELDS})
#: Name -> the provider's public base URL, used when none is set. Picky: the V4 host.
PUBLIC_URLS: Mapping[str, str] = MappingProxyType({"picky": "https://app.pickyassist.com"})
#: The deadline of one send when nobody says otherwise.
TIMEOUT = timedelta(seconds=30)


def names() -> tuple[str, ...]:
    """Return the names that settings may use."""
    return tuple(_SHAPES)


def shape_fields(name: str) -> tuple[str, ...]:
    """Return the kwargs that rows of one request must agree on. Raises SettingError for an unknown name."""
    if name not in _SHAPES:
        raise SettingError("HEADWAY_PROVIDER", f"no provider is called {name!r}; there is {', '.join(_SHAPES)}")
    return _SHAPES[name]


def make(
    name: str,
    *,
    token: str,
    application: str,
    session: aiohttp.ClientSession,
    urls: Sequence[str] = (),
    timeout: timedelta = TIMEOUT,
    circuits: Circuits | None = None,
) -> Provider:
    """Return the provider of this name for one number.

    `urls` are base URLs, primary first; none means the provider's public one. `timeout` is the deadline of one whole
    send, connection set-up and standbys included. `session` is used, never closed. `circuits`: those of the process.
    Raises SettingError for an unknown name.
    """
    shape_fields(name)  # refuses unknown names
    return PickyProvider(
        urls=urls or (PUBLIC_URLS[name],),
        token=token,
        application=application,
        timeout=timeout,
        session=session,
        circuits=circuits,
    )
