"""Does a worker outlive a channel that is closed when its connection has gone already, with a parcel in the pool?"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from kombu.transport import virtual
from vine import promise

from worker import transport
from worker.parcel import TAG
from worker.request import acknowledgements
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


def test_an_acknowledgement_wakes_the_loop_only_when_it_waits_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes from the pool's thread: a loop that found the pool full must hear of it, any other need not."""
    woken: list[str] = []
    engine: Any = SimpleNamespace(release=nobody_waits, wake=lambda: woken.append("woken"))
    monkeypatch.setattr(transport, "_engine", engine)
    make: Any = LeaseQoS
    qos = make(SimpleNamespace(do_restore=False, connection=None), 2)
    for tag in (f"{TAG}1", f"{TAG}2"):
        virtual.QoS.append(qos, SimpleNamespace(), tag)
        assert qos.can_consume() is (tag == f"{TAG}1")
    qos.ack(f"{TAG}1")
    assert woken == ["woken"]
    assert qos.can_consume()
    qos.ack(f"{TAG}2")
    assert woken == ["woken"]


def test_a_parcel_is_acknowledged_at_once_but_after_a_reconnect() -> None:
    """Then Celery has hung something on the acknowledgement, which must be done in its loop."""
    message: Any = SimpleNamespace(ack_log_error=object(), reject_log_error=object())
    plain, hung = promise(nobody), promise(nobody)
    hung.then(promise(nobody))
    assert acknowledgements(message, plain, plain) == (message.ack_log_error, message.reject_log_error)
    assert acknowledgements(message, hung, hung) == (hung, hung)


def nobody_waits(_: str) -> None:
    """A parcel was let go."""
