"""What do Headway's processes say, and how does it look? The one place that configures logs.

Every event of ours is a member of `Event`: the catalogue that dashboards, alarms and tests hold on to. Lines of other
libraries (celery, kombu, uvicorn) go through the same processors, but aren't held to the catalogue.
Logs go to standard error: standard output belongs to what a command prints.
"""

from __future__ import annotations

import logging
import os
import sys
from enum import StrEnum
from typing import Final, TextIO, cast

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from runtime.secret import MASK, hide_passwords


class Event(StrEnum):
    """Everything Headway says in its log. Fields are listed in brackets; durations carry their unit in the name."""

    #: A worker leases from now on [numbers, pool, concurrency].
    WORKER_READY = "worker_ready"
    #: A worker leases no more and finishes what it began [held].
    WORKER_STOPPING = "worker_stopping"
    #: Debug. Messages may leave now [number, lease, rows].
    LEASE_GRANTED = "lease_granted"
    #: A lease ended without its holder: rows not begun go back, begun ones are uncertain [number, lease, holder, rows].
    LEASE_LOST = "lease_lost"
    #: Rows that had not begun went back to the head of their lane [number, lease, rows].
    LEASE_RETURNED = "lease_returned"
    #: Messages stood behind one to the same recipient that was in no place any more; they go on [number, recipients].
    RECIPIENTS_RELIEVED = "recipients_relieved"
    #: The provider didn't take a row [number, message, verdict, code, reason].
    SEND_FAILED = "send_failed"
    #: A message on a lane can't be sent as it is; it is dead [number, message, field, problem].
    MESSAGE_REFUSED = "message_refused"
    #: A message was tried too often, or for too long; it is dead and kept for a person
    #: [number, message, code, reason].
    MESSAGE_DEAD = "message_dead"
    #: Nothing came back of uncertain messages: their class says that they are sent again [number, rows, messages].
    UNCERTAIN_RESENT = "uncertain_resent"
    #: Nothing came back of uncertain messages: they are held, and a person decides [number, rows, messages].
    UNCERTAIN_HELD = "uncertain_held"
    #: A number should stand still, and the server could not be told [number, reason].
    NUMBER_NOT_PAUSED = "number_not_paused"
    #: A number stands still until a person resumes it [number, reason].
    NUMBER_PAUSED = "number_paused"
    #: The provider said "not so fast": the number leaves less for a while
    #: [number, tps_milli, rests_ms, rows, code, reason].
    NUMBER_SLOWED = "number_slowed"
    #: The provider said "not so fast", and the server could not be told [number, problem].
    NUMBER_NOT_SLOWED = "number_not_slowed"
    #: None of the provider's addresses may be tried: rows went back, and the number waits [number, rests_ms, rows,
    #: code, reason].
    NUMBER_RESTS = "number_rests"
    #: An address of a provider is down: nothing goes there until a probe is answered [url, problem, probe_in_ms].
    PROVIDER_AWAY = "provider_away"
    #: An address of a provider answers again [url, away_ms].
    PROVIDER_BACK = "provider_back"
    #: A worker's time was up, and the server could not be told what became of messages: they will be uncertain [number,
    #: lease, outcomes].
    OUTCOMES_LOST = "outcomes_lost"
    #: A worker that was told to end has had its grace time: it gives up what it holds [held].
    GRACE_OVER = "grace_over"
    #: The server's clock was set back, or another server is behind the last one: pauses before retries were brought
    #: nearer [by_ms, eased].
    CLOCK_SET_BACK = "clock_set_back"
    #: The server answers, but this worker no longer asks it for messages [overdue_ms].
    WORKER_DEAF = "worker_deaf"
    #: The file that says whether this worker gets on can't be written: `headway worker --check` won't see it [problem].
    HEALTH_UNWRITTEN = "health_unwritten"
    #: The number has its whole TPS again [number].
    NUMBER_RECOVERED = "number_recovered"
    #: The provider accepted requests that brought no receipt at all: it may have dropped them
    #: [number, requests, rows, check].
    PUSHES_SILENT = "pushes_silent"
    #: Processes were started with different TPS for a number; the lowest holds [number, ours_milli, lowest_milli].
    TPS_DIFFERS = "tps_differs"
    #: Contacts were sent one text more often than HEADWAY_LOOP_GUARD allows, and rest from it [number, contacts].
    CONTACT_RESTS = "contact_rests"
    #: Processes were started with different values of a setting for a number; each goes by its own [number, setting,
    #: ours, others].
    SETTINGS_DIFFER = "settings_differ"
    #: A live value that was written by hand can't be: the last good one holds, or the environment's [number, setting,
    #: value, holds].
    SETTING_IGNORED = "setting_ignored"
    #: The provider doesn't say how many members a group has: receipts of 256 are foreseen [number, problem].
    GROUP_UNKNOWN = "group_unknown"
    #: Processes were started with different shards for a number; the fewest hold [number, ours, fewest].
    SHARDS_DIFFER = "shards_differ"
    #: Another number of shards holds; what waits in the former ones is moved first [number, shards].
    SHARDS_CHANGE = "shards_change"
    #: The server doesn't answer: nothing leaves until it does [url, problem, attempt].
    BROKER_AWAY = "broker_away"
    #: The server answers again [url, attempts].
    BROKER_BACK = "broker_back"
    #: A script could not run: nothing changed, it is tried again [script, problem].
    SCRIPT_REFUSED = "script_refused"
    #: The server can be used, but not as it should be set up [problem].
    SERVER_RISKY = "server_risky"
    #: This process started the embedded server [engine, port, directory].
    SERVER_STARTED = "server_started"
    #: This process uses an embedded server that another one started [engine, port, directory].
    SERVER_ATTACHED = "server_attached"
    #: The last user went, and the embedded server with it [engine, directory].
    SERVER_STOPPED = "server_stopped"
    #: Start-up or shutdown of the embedded server takes its time [waiting_for, directory].
    SERVER_AWAITED = "server_awaited"
    #: Data of another engine or version lies in the home and isn't opened [ours, left].
    SERVER_DATA_LEFT = "server_data_left"
    #: The embedded server did not stop in time and is left alone [pid, directory].
    SERVER_STUCK = "server_stuck"
    #: The HTTP door takes requests [url, numbers].
    GATEWAY_READY = "gateway_ready"
    #: The HTTP door takes no more requests and finishes those that it has.
    GATEWAY_STOPPING = "gateway_stopping"
    #: A request met a fault of ours; its caller got a 500 [path, problem].
    REQUEST_FAILED = "request_failed"
    #: A large push was accepted in part only: the server refused or went away in the middle [push, accepted, rows].
    PUSH_CUT = "push_cut"
    #: A campaign was made, and its messages are put on their lanes [campaign, number, rows, by].
    CAMPAIGN_BEGUN = "campaign_begun"
    #: All messages of a campaign are on their lanes [campaign, number, queued, suppressed].
    CAMPAIGN_LOADED = "campaign_loaded"
    #: A person paused, resumed or cancelled a campaign over HTTP [campaign, number, state, by, where].
    CAMPAIGN_CHANGED = "campaign_changed"
    #: A person changed a number over HTTP [number, by, where, and each setting that was named].
    NUMBER_CHANGED = "number_changed"
    #: Webhooks of these numbers are taken from everybody: HEADWAY_WEBHOOK_KEY is `off` [numbers].
    WEBHOOKS_OPEN = "webhooks_open"
    #: Webhooks of these numbers are taken from nobody: HEADWAY_WEBHOOK_KEY is not set [numbers, do].
    WEBHOOKS_CLOSED = "webhooks_closed"
    #: A secret is so short that it could be guessed [variable, least].
    GUESSABLE = "guessable"
    #: Somebody gave a token or a key that is none [address, path].
    CALLER_REFUSED = "caller_refused"
    #: An address gave too many wrong tokens and is refused for a while [address, lasts_ms, forwarded]. `forwarded`: it
    #: speaks for others, and no HEADWAY_TRUSTED_PROXIES says that it may.
    ADDRESS_LOCKED_OUT = "address_locked_out"
    #: HEADWAY_LOCKOUT is `off`: tokens may be guessed without end.
    LOCKOUT_OFF = "lockout_off"
    #: Debug. Receipts of messages that aren't ours, or no longer known; counted all the same [number, receipts].
    RECEIPTS_UNMATCHED = "receipts_unmatched"
    #: The server is away: this inbound message goes to the app, but isn't on the meter [number, inbound, problem].
    INBOUND_UNCOUNTED = "inbound_uncounted"
    #: The app's webhook didn't take what came in; it is kept, and tried again [number, what, problem].
    FORWARD_FAILED = "forward_failed"
    #: The app didn't take it for days: it is tried no more, and kept for a person [number, what, entry, tries].
    OUTBOX_PARKED = "outbox_parked"
    #: As much is kept for the app as may be: what comes in goes to the spool, or is refused [number].
    OUTBOX_FULL = "outbox_full"
    #: A fault of ours in what gives the app what is kept for it; the next look begins anew [problem].
    OUTBOX_FAULT = "outbox_fault"
    #: The server is away: what comes in is written to files of this machine from now on [directory].
    SPOOL_BEGUN = "spool_begun"
    #: What came in could not be written down; its sender was told to repeat it [problem].
    SPOOL_FAILED = "spool_failed"
    #: What was written down while the server was away is counted now, and kept for the app [records].
    SPOOL_REPLAYED = "spool_replayed"
    #: What was written down can't be counted now; it stays where it is [problem].
    SPOOL_WAITS = "spool_waits"
    #: Lines of a spool file that can't be read [file, records].
    SPOOL_SKIPPED = "spool_skipped"
    #: A record of the spool that can't be taken, now or later: it is laid aside [number, record, problem].
    SPOOL_REFUSED = "spool_refused"
    #: The app's answer to an inbound message is no reply that can be relayed [number, problem].
    REPLY_DROPPED = "reply_dropped"
    #: The app's reply was relayed, but isn't on the meter, or a repetition would be forwarded again
    #: [number, inbound, problem].
    REPLY_UNCHARGED = "reply_uncharged"
    #: A variable was set that this version doesn't act on yet [variable, why].
    SETTING_WITHOUT_EFFECT = "setting_without_effect"


class UndeclaredEvent(Exception):
    """An event isn't in the catalogue: add it to `runtime.telemetry.Event`. Raised under test only."""


_DECLARED: Final = frozenset(Event)
#: Field names whose value never belongs in a log, whoever put it there.
_SECRET_FIELDS: Final = frozenset(
    {"app_secret", "authorization", "password", "provider_token", "secret", "token", "webhook_key", "webhook_keys"}
)
#: pytest sets it for itself and for the processes that a test starts: there an undeclared event is a failure.
_UNDER_TEST: Final = "PYTEST_VERSION"
#: The digits of a masked number that stay readable: enough for the country, and to tell two apart in one log.
_HEAD, _TAIL = 3, 2


def mask(number: str) -> str:
    """Return a recipient's phone number as it may be logged: `15555550100` becomes `155******00`."""
    if len(number) <= _HEAD + _TAIL:
        return "*" * len(number)
    return number[:_HEAD] + "*" * (len(number) - _HEAD - _TAIL) + number[-_TAIL:]


def get_logger(room: str) -> structlog.stdlib.BoundLogger:
    """Return the logger of a room: `log.info(Event.WORKER_READY, numbers=…)`.

    It works before `configure` too (warnings then go through the standard library's last resort), so that it may stand
    at a module's top.
    """
    logger = structlog.wrap_logger(
        logging.getLogger(f"headway.{room}"),
        processors=[
            structlog.stdlib.filter_by_level,
            declared_only,
            hide_secrets,  # here too: other handlers (an error tracker's) see the line before our formatter does
            *_SHARED,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        room=room,
    )
    return cast("structlog.stdlib.BoundLogger", logger)


def configure(style: str = "auto", *, level: int = logging.INFO, stream: TextIO | None = None) -> None:
    """Send all logs of this process to one handler: called once by each door, and again after Celery set up its own.

    `style` is HEADWAY_LOG: `pretty` for people, `json` for machines, `auto` decides by whether `stream` (default:
    standard error) is a terminal. Handlers that write to a stream are replaced, so that no line is written twice.
    """
    stream = stream or sys.stderr
    terminal = stream.isatty()
    pretty = style == "pretty" or (style == "auto" and terminal)
    handler = _Handler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*_SHARED, structlog.stdlib.add_logger_name],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                hide_secrets,
                _console(colors=terminal) if pretty else structlog.processors.JSONRenderer(default=str),
            ],
        )
    )
    root = logging.getLogger()
    for former in [h for h in root.handlers if type(h) in (logging.StreamHandler, _Handler)]:
        root.removeHandler(former)
    root.addHandler(handler)
    root.setLevel(level)


def declared_only(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Hold our own events to the catalogue: under test an undeclared one raises, in production it is marked."""
    name = event.get("event")
    if name in _DECLARED:
        event["event"] = str(name)  # a plain text, whatever renders it
        return event
    if _UNDER_TEST in os.environ:
        raise UndeclaredEvent(f"{name!r} is no member of runtime.telemetry.Event: declare it there, with its fields")
    event["undeclared"] = True
    return event


def hide_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Mask passwords in URLs and the values of fields that are secret by name, in our lines and in all others."""
    for field, value in event.items():
        if field in _SECRET_FIELDS:
            event[field] = MASK
        elif isinstance(value, str):
            event[field] = hide_passwords(value)
    return event


class _Handler(logging.StreamHandler[TextIO]):
    """Marks the handler that `configure` put in place."""


def _console(*, colors: bool) -> structlog.dev.ConsoleRenderer:
    # The default renders tracebacks with the values of local variables: message texts, tokens.
    return structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback)


#: What each line gets, ours or another library's, on the thread that wrote it.
_SHARED: Final[list[Processor]] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]
