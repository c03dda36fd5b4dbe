"""What happens in a worker process from its start to its end?

Celery's signals, in the order in which they come: check the pool and the server, make the engine, start the keeper and
the bell, say that it is ready; on SIGTERM lease no more; at the end hand back what has not begun.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import redis
from celery import signals

from delivery.policy import Policy, policy_of
from headway.errors import HeadwayError, SettingError
from headway.keys import number_of_unit
from providers import catalogue
from providers.circuit import Circuits
from runtime import pauses
from runtime.connect import check_server, connect, wait_for_server
from runtime.health import HealthFile
from runtime.settings import Settings
from runtime.telemetry import Event, get_logger
from scheduler.rules import NumberRules, rules_of
from scheduler.shards import rules_of_unit
from worker import transport
from worker.bell import Bell
from worker.courier import Courier, ProviderOf
from worker.engine import Engine
from worker.hurry import Hurry
from worker.keeper import Keeper
from worker.pool import ThreadPool
from worker.progress import Progress

#: Pools whose event loop can wake us at the next permit. gevent and eventlet have none: kombu's synchronous loop blocks
#: for 2 s at a time, so that permits would be missed.
POOLS = ("prefork", "processes", "threads")
_POOL_MODULES = ("celery.concurrency.prefork", "celery.concurrency.thread", ThreadPool.__module__)

#: How long a worker waits at its start for a server that is not there yet.
START_PATIENCE = timedelta(seconds=60)

log = get_logger("worker")


@dataclass(slots=True)
class Parts:
    """What this process made: the door's values, and what runs."""

    settings: Settings
    url: str
    provider_of: ProviderOf | None = None
    engine: Engine | None = None
    keeper: Keeper | None = None
    bell: Bell | None = None
    courier: Courier | None = None
    courier_pid: int = 0


class Lifecycle:
    """The parts of one worker process. `courier()` makes its own after a fork."""

    def __init__(self, settings: Settings, url: str) -> None:
        self.parts = Parts(settings, url)
        self._rules: dict[str, NumberRules] = {}
        self._policies: dict[str, Policy] = {}
        self._circuits = Circuits()
        self._hurry = Hurry()
        self._making = threading.Lock()

    def connect_signals(self) -> None:
        """Hear Celery's signals from now on."""
        signals.worker_init.connect(self.on_init, weak=False)
        signals.worker_ready.connect(self.on_ready, weak=False)
        signals.worker_shutting_down.connect(self.on_shutting_down, weak=False)
        signals.worker_shutdown.connect(self.on_shutdown, weak=False)
        signals.worker_process_init.connect(self.on_child, weak=False)

    def rules(self, unit: str) -> NumberRules:
        """Return the rules of a number, or of a unit of it, read once."""
        rules = self._rules.get(unit)
        if rules is None:
            settings = self.parts.settings
            own = settings.number(number_of_unit(unit))
            of_number = rules_of(
                own, lease_ttl_ms=settings.lease_ttl_ms, shape_fields=catalogue.shape_fields(own.provider)
            )
            rules = self._rules[unit] = rules_of_unit(of_number, unit)
        return rules

    def policy(self, unit: str) -> Policy:
        """Return what was decided beforehand about messages of a unit's number that don't go well, read once."""
        number = number_of_unit(unit)
        if number not in self._policies:
            self._policies[number] = policy_of(self.parts.settings.number(number))
        return self._policies[number]

    def courier(self) -> Courier:
        """Return this process's courier; a forked child makes its own connections."""
        parts = self.parts
        with self._making:  # the first parcels come to several threads at once
            if parts.courier is None or parts.courier_pid != os.getpid():
                parts.courier_pid = os.getpid()
                parts.courier = Courier(
                    connect(parts.url, name="headway-worker-pool"),
                    self.rules,
                    parts.provider_of or self._provider,
                    send_timeout=timedelta(milliseconds=parts.settings.send_timeout_ms),
                    record_ttl_s=parts.settings.record_ttl_s,
                    policy=self.policy,
                    hurry=self._hurry,
                )
            return parts.courier

    def use_provider(self, provider_of: Callable[..., Any]) -> None:
        """Send through this provider instead of the settings' one; benches send into nothing so."""
        self.parts.provider_of = provider_of

    def on_init(self, sender: Any, **_: Any) -> None:
        """Prepare this process, or end it: Celery would log what is raised here, and go on without a meter."""
        try:
            self._prepare(sender)
        except (HeadwayError, redis.RedisError, OSError) as problem:
            raise SystemExit(f"headway worker: {problem}") from problem
        except Exception as fault:
            logging.getLogger("headway.worker").exception("the worker can't start")
            raise SystemExit(1) from fault

    def _prepare(self, sender: Any) -> None:
        """Check the pool and the server before anything is consumed, and make the engine."""
        settings = self.parts.settings
        _check_pool(sender)
        for variable in settings.not_yet:
            log.warning(Event.SETTING_WITHOUT_EFFECT, variable=variable)
        client = connect(self.parts.url, name="headway-worker")
        wait_for_server(client, shown="HEADWAY_REDIS_URL", patience=START_PATIENCE)
        check_server(client)
        engine = Engine(client, self.rules, slots=int(sender.concurrency or 1))
        transport.serve(engine)
        self.parts.engine = engine
        self.parts.keeper = Keeper(
            engine,
            record_ttl_s=settings.record_ttl_s,
            policy=self.policy,
            lease_ttl_us=settings.lease_ttl_ms * 1000,
            grace_us=settings.grace_ms * 1000,
            give_up=self._give_up,
            progress=Progress(engine, HealthFile(settings.home), heard_us=transport.heard_us),
        )
        self.parts.bell = Bell(engine, connect(self.parts.url, name="headway-bell"))
        atexit.register(self.on_shutdown)

    def on_ready(self, sender: Any, **_: Any) -> None:
        """The consumer has subscribed: start our threads. Not earlier, so that a prefork child inherits none."""
        parts = self.parts
        if parts.engine is None or parts.keeper is None or parts.bell is None:
            return
        parts.keeper.start()
        parts.bell.start()
        pauses.avoid()
        pool = "prefork" if "prefork" in type(sender.pool).__module__ else "threads"
        numbers = sorted(parts.engine.agenda.numbers())
        log.info(Event.WORKER_READY, numbers=numbers, pool=pool, concurrency=parts.engine.slots)

    def on_shutting_down(self, how: str = "Warm", **_: Any) -> None:
        """SIGTERM: lease no more; what is held finishes. SIGQUIT (Cold): give up what is held."""
        if how == "Cold":
            self.end_at_once()
        elif self.parts.engine is not None:
            self.parts.engine.stopping = True

    def end_at_once(self) -> None:
        """Lease no more and give up what is held; the keeper does it. Called in a signal's handler."""
        if self.parts.engine is not None:
            self.parts.engine.giving_up = self.parts.engine.stopping = True

    def on_shutdown(self, **_: Any) -> None:
        """The pool has ended: hand back what it did not begin."""
        parts, engine = self.parts, self.parts.engine
        if engine is None or not engine.holder.startswith(f"{os.getpid()}-"):
            return
        parts.engine = None
        engine.stopping = True
        if parts.bell is not None:
            parts.bell.stop()
        if parts.keeper is not None:
            parts.keeper.stop()
        if parts.courier is not None and parts.courier_pid == os.getpid():
            parts.courier.close()

    def on_child(self, **_: Any) -> None:
        """A prefork child: it delivers, and leases nothing.

        What it inherited is not its own: one of the parent's threads may have held a lock when it was forked.
        """
        transport.serve(None)
        pauses.avoid()
        self._making = threading.Lock()
        self.parts.engine = self.parts.keeper = self.parts.bell = None

    def _give_up(self) -> None:
        self._hurry.set()
        parts = self.parts
        if parts.courier is not None and parts.courier_pid == os.getpid():
            parts.courier.give_up()

    def _provider(self, number: str, session: Any) -> Any:
        own = self.parts.settings.number(number)
        return catalogue.make(
            own.provider,
            token=own.provider_token.reveal(),
            application=own.application,
            session=session,
            urls=own.provider_urls,
            timeout=timedelta(milliseconds=self.parts.settings.send_timeout_ms),
            circuits=self._circuits,
        )


def _check_pool(worker: Any) -> None:
    pool = worker.pool_cls
    name = pool if isinstance(pool, str) else f"{pool.__module__}.{pool.__qualname__}"
    known = name in POOLS or name.startswith(_POOL_MODULES)
    if not known:
        raise SettingError(
            "--pool",
            f"{name} has no event loop that could wake at the next permit; use -P threads (advised) or prefork",
        )
