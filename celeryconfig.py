"""Celery's own settings, each with its why. What belongs to Headway stands in the environment (docs: settings)."""

# Parcels are acknowledged after their leases have settled: the acknowledgement is bookkeeping, a lease ends by its
# settle.
task_acks_late = True

# One parcel to a slot: leases that wait in the pool's queue would grow stale while another worker could begin them.
worker_prefetch_multiplier = 1

# What became of a message stands in its record; a result backend would keep it twice.
task_ignore_result = True

# Messages come from strangers: nothing but JSON is ever unpacked.
accept_content = ["json"]
task_serializer = "json"
result_serializer = "json"

# -Q and add_consumer may name numbers that HEADWAY_NUMBERS doesn't; a queue that is no number's is refused beside them.
task_create_missing_queues = True

# A broker that restarts is waited for without end: a worker must come back by itself.
broker_connection_retry_on_startup = True
broker_connection_max_retries = None

# kombu's steps, separator and prefix stay at their defaults, so that stock publishers put rows on the same lanes.
broker_transport_options = {"socket_keepalive": True, "health_check_interval": 25}

# The pool goes on with its parcels over a reconnect, and their leases settle through a client of their own.
worker_cancel_long_running_tasks_on_connection_loss = False

# A task event for each parcel is cheap; Flower sees them when somebody turns events on (-E).
task_send_sent_event = False

# Logs have one place (runtime/telemetry.py).
worker_hijack_root_logger = False
worker_redirect_stdouts = False
