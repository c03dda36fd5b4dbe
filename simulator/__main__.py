"""How is a WhatsApp number in software started? `python -m simulator --webhook URL`.

It prints `simulator ready on http://127.0.0.1:PORT` when it is ready. SIGTERM ends it.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import click

from simulator.conditions import Conditions
from simulator.faults import Faults
from simulator.number import Manners, Number
from simulator.record import DELIVERED, MOST_EVENTS, READ
from simulator.server import serve
from simulator.webhooks import PROVIDER_RETRIES, Delivery

_RECEIPTS = {
    "delivered,read": frozenset({DELIVERED, READ}),
    "delivered": frozenset({DELIVERED}),
    "none": frozenset[str](),
}


class Seconds(click.ParamType[timedelta]):
    """A time in seconds."""

    name = "seconds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Return the time; fails for what isn't a positive number."""
        if isinstance(value, timedelta):
            return value
        try:
            seconds = timedelta(seconds=float(value))
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is no number of seconds", param, ctx)
        return seconds


class Retries(click.ParamType[tuple[timedelta, ...]]):
    """A comma list of pauses, or `provider` for the provider's own."""

    name = "seconds,…"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[timedelta, ...]:
        """Return the pauses before each further try."""
        if isinstance(value, tuple):
            return value
        if value == "provider":
            return PROVIDER_RETRIES
        return tuple(Seconds().convert(part, param, ctx) for part in str(value).split(",") if part)


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110, "show_default": True})
@click.option("--host", default="127.0.0.1", help="Address to listen on.")
@click.option("--port", default=8090, help="Port to listen on; 0 takes a free one.")
@click.option("--token", default="", help="Token that calls must carry; without it every token is good.")
@click.option("--tps", default=10.0, help="Transactions per second that the container works off.")
@click.option("--capacity", default=200, help="Incoming events that may wait; inbound messages beyond are lost.")
@click.option("--inbound", default=0.0, metavar="RATE", help="Inbound messages per second, on average.")
@click.option(
    "--burst", default=0, metavar="COUNT", help="So many inbound messages more within a second, now and then."
)
@click.option("--burst-every", type=Seconds(), default=timedelta(seconds=10), help="Between two bursts.")
@click.option("--receipts", type=click.Choice(list(_RECEIPTS)), default="delivered,read", help="What is produced.")
@click.option("--delivered-share", default=0.98, help="Share of sends that are delivered.")
@click.option("--delivered-after", type=Seconds(), default=timedelta(seconds=0.8), help="Median, after the send.")
@click.option("--read-share", default=0.6, help="Share of the delivered that are read.")
@click.option("--read-after", type=Seconds(), default=timedelta(seconds=4), help="Median, after the delivery.")
@click.option("--group-members", default=20, help="Members of every group.")
@click.option("--seed", default=1, help="Same seed, same chance.")
@click.option(
    "--application",
    default="",
    show_default=False,
    help="Channel id in webhooks.  [default: as the last push named it]",
)
@click.option("--quota", default=90, help="Push requests in any minute; 0: no limit.")
@click.option(
    "--over-quota", type=click.Choice(["429", "silent"]), default="429", help="silent: HTTP 200, 429 in the body."
)
@click.option(
    "--mode", default="ok", help="How pushes are answered: ok, hang, cut, garbage, twice, fail:STATUS or http:STATUS."
)
@click.option("--latency-ms", default=0, help="Think this long before the answer to a push.")
@click.option("--webhook", default="", metavar="URL", help="Where inbound messages and receipts go; none: nowhere.")
@click.option("--key", default="", help="Appended to the webhook's address as key=…")
@click.option("--event-webhook/--no-event-webhook", default=True, help="Tell receipts; they use TPS in any case.")
@click.option("--webhook-ms", default=20, help="From an event's turn to its webhook.")
@click.option("--webhook-rows", default=50, help="Most receipts in one webhook.")
@click.option("--webhook-connections", default=32, help="Webhooks at a time.")
@click.option("--webhook-timeout", type=Seconds(), default=timedelta(seconds=180), help="How long the app may think.")
@click.option(
    "--retries",
    type=Retries(),
    default="",
    show_default=False,
    help="Pauses before further tries; `provider`: 60,900,7200,21600.",
)
@click.option("--journal", type=click.Path(dir_okay=False, path_type=Path), help="Append a JSON line per event here.")
@click.option("--most-events", default=MOST_EVENTS, help="Events kept in memory for the verdict.")
def main(**options: Any) -> None:
    """A WhatsApp number in software: takes pushes, brings receipts and inbound messages, and judges who sends.

    GET /verdict judges, GET /journal gives all that happened as JSON lines, POST /control changes its behaviour:
    {"mode": "ok|hang|cut|garbage|twice|fail:401|http:500", "latency_ms": 0, "webhooks": "pause|run"}.
    """
    try:
        faults = Faults()
        faults.change({"mode": options["mode"], "latency_ms": options["latency_ms"]})
        number = Number(_conditions(options), manners=_manners(options), delivery=_delivery(options))
        serve(number, faults=faults, host=options["host"], port=options["port"])
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from error


def _conditions(options: dict[str, Any]) -> Conditions:
    return Conditions(
        tps=options["tps"],
        capacity=options["capacity"],
        inbound_per_s=options["inbound"],
        burst=options["burst"],
        burst_every=options["burst_every"],
        receipts=_RECEIPTS[options["receipts"]],
        delivered_share=options["delivered_share"],
        delivered_after=options["delivered_after"],
        read_share=options["read_share"],
        read_after=options["read_after"],
        group_members=options["group_members"],
        seed=options["seed"],
    )


def _manners(options: dict[str, Any]) -> Manners:
    return Manners(
        token=options["token"],
        application=options["application"],
        pushes_per_minute=options["quota"],
        over_quota=options["over_quota"],
        webhook_after=timedelta(milliseconds=options["webhook_ms"]),
        most_events=options["most_events"],
        journal=options["journal"],
    )


def _delivery(options: dict[str, Any]) -> Delivery:
    return Delivery(
        url=options["webhook"],
        key=options["key"],
        receipts=options["event_webhook"],
        rows=options["webhook_rows"],
        connections=options["webhook_connections"],
        timeout=options["webhook_timeout"],
        retries=options["retries"],
    )


if __name__ == "__main__":
    main()
