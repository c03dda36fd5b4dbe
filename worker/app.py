"""The door: `celery -A worker.app worker`.

Reads the environment, finds or starts the server, and gives Celery its app.
"""

from __future__ import annotations

import logging
import os

from celery import Celery, signals

from priorities.lanes import queues
from runtime import telemetry
from runtime.embedded import EmbeddedServer
from runtime.settings import Settings
from worker import pool, transport
from worker.broker import PatientAMQP, broker_of, tls_of
from worker.lifecycle import Lifecycle
from worker.tasks import register

settings = Settings.from_env(os.environ)
telemetry.configure(settings.log)
transport.install()

#: The embedded server when no other is named: it ends with the last process that uses it.
server = None if settings.redis_url else EmbeddedServer.join(settings.home)
url = settings.redis_url or (server.url if server else "")

broker, broker_options = broker_of(url)
app = Celery("headway", broker=broker, amqp=PatientAMQP)
app.config_from_object("celeryconfig")
app.conf.broker_transport_options = {**app.conf.broker_transport_options, **broker_options}
app.conf.broker_use_ssl = tls_of(url)
app.conf.task_queues = queues(settings.numbers)
lifecycle = Lifecycle(settings, url)
lifecycle.connect_signals()
pool.install(lifecycle.end_at_once)
register(app, lifecycle)


@signals.setup_logging.connect(weak=False)
def _logs(loglevel: int | str | None = None, **_: object) -> None:
    """Keep Celery from setting up logs of its own; its two lines for each parcel would be most of the log."""
    telemetry.configure(settings.log)
    for name in ("celery.worker.strategy", "celery.app.trace"):
        logging.getLogger(name).setLevel(logging.WARNING)
