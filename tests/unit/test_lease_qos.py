"""Does a worker outlive a channel that is closed when its connection has gone already, with a parcel in the pool?"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from kombu.transport import virtual

from worker.parcel import TAG
from worker.transport import LeaseQoS


def nobody(_: Any = None) -> None:
    """Fail as kombu does when it is asked for a client of a connection that it has closed."""
    raise AttributeError("'NoneType' object has no attribute 'hostname'")


def test_parcels_are_let_go_without_a_client() -> None:
    """They are never put back by kombu, so nobody is to be asked for; an error here would end the worker."""
    make: Any = LeaseQoS
    qos = make(SimpleNamespace(conn_or_acquire=nobody, do_restore=True, connection=None))
    virtual.QoS.append(qos, SimpleNamespace(), f"{TAG}1")
    qos.restore_unacked_once()
    assert not [tag for tag in qos._delivered if tag.startswith(TAG)]
