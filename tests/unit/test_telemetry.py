"""Do logs hold to their catalogue, look as asked, and keep secrets to themselves?"""

from __future__ import annotations

import inspect
import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from runtime import telemetry
from runtime.secret import Secret
from runtime.telemetry import Event, UndeclaredEvent, configure, get_logger, mask


@pytest.fixture(autouse=True)
def _root_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    root.setLevel(level)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    """Return what was logged as JSON."""
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def as_json(*, level: int = logging.INFO) -> io.StringIO:
    """Configure JSON logs into a text."""
    stream = io.StringIO()
    configure("json", level=level, stream=stream)
    return stream


def test_an_event_is_one_line_of_json_with_its_fields() -> None:
    """The shape that machines read."""
    stream = as_json()
    get_logger("worker").info(Event.WORKER_READY, numbers=["15555550100"], pool="threads")
    (line,) = lines(stream)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "worker_ready", "level": "info", "room": "worker", "numbers": ["15555550100"], "pool": "threads",
    }  # fmt: skip


def test_other_libraries_go_through_the_same_door() -> None:
    """Celery, kombu and uvicorn log with the standard library."""
    stream = as_json()
    logging.getLogger("kombu.connection").warning("lost %s", "redis://:hush@h:1//")
    (line,) = lines(stream)
    assert (line["event"], line["level"], line["logger"]) == ("lost redis://***@h:1//", "warning", "kombu.connection")


def test_an_undeclared_event_of_ours_is_a_failure_under_test() -> None:
    """What isn't in the catalogue can't be found by who reads the catalogue."""
    as_json()
    with pytest.raises(UndeclaredEvent, match="'hello'"):
        get_logger("worker").info("hello")


def test_an_undeclared_event_is_marked_in_production(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process is never ended by a line of its log."""
    monkeypatch.delenv("PYTEST_VERSION")
    stream = as_json()
    get_logger("worker").info("hello")
    get_logger("worker").info(Event.WORKER_READY)
    assert [line.get("undeclared") for line in lines(stream)] == [True, None]


def test_an_event_below_the_level_costs_no_line() -> None:
    """lease_granted is said once per lease: only who asks for it gets it."""
    stream = as_json()
    get_logger("worker").debug(Event.LEASE_GRANTED, rows=1)
    assert stream.getvalue() == ""
    stream = as_json(level=logging.DEBUG)
    get_logger("worker").debug(Event.LEASE_GRANTED, rows=1)
    assert len(lines(stream)) == 1


@pytest.mark.parametrize("style", ["json", "pretty"])
def test_no_secret_reaches_the_log(style: str, caplog: pytest.LogCaptureFixture) -> None:
    """Neither by type, by its field's name, in a URL nor as a traceback's variable; nor through others' handlers."""
    stream = io.StringIO()
    configure(style, stream=stream)

    def fail(password: str) -> int:
        return len(password) // 0

    secret = "hush"[::-1]  # so that the traceback's line of source doesn't hold it
    try:
        fail(secret)
    except ZeroDivisionError:
        fields = {"token": secret, "provider_token": secret, "s": Secret(secret), "url": f"http://u:{secret}@h"}
        get_logger("worker").exception(Event.SEND_FAILED, **fields)
    assert secret not in stream.getvalue() + caplog.text
    assert "ZeroDivisionError" in stream.getvalue()


def test_auto_is_pretty_for_people_and_json_for_machines() -> None:
    """Decided by whether a terminal reads it."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for stream, starts in ((io.StringIO(), "{"), (Terminal(), "\x1b")):
        configure("auto", stream=stream)
        get_logger("worker").info(Event.WORKER_READY)
        assert stream.getvalue().startswith(starts)


def test_pretty_into_a_file_has_no_colours() -> None:
    """Who asks for pretty logs in a file wants to read them there."""
    stream = io.StringIO()
    configure("pretty", stream=stream)
    get_logger("worker").info(Event.WORKER_READY)
    assert "\x1b" not in stream.getvalue()
    assert "worker_ready" in stream.getvalue()


def test_configuring_again_replaces_and_never_doubles() -> None:
    """A door configures, then Celery sets up its own logging, then the door again."""
    logging.getLogger().addHandler(logging.StreamHandler(io.StringIO()))
    first, second = as_json(), as_json()
    get_logger("worker").info(Event.WORKER_READY)
    assert first.getvalue() == ""
    assert len(lines(second)) == 1


@pytest.mark.parametrize(
    ("number", "masked"),
    [("15555550100", "155******00"), ("393331234567", "393*******67"), ("12345", "*****"), ("", "")],
)
def test_a_recipient_is_masked(number: str, masked: str) -> None:
    """Country and last digits stay, so that two lines can be told apart."""
    assert mask(number) == masked


def test_every_event_says_what_it_means_and_is_named_like_its_text() -> None:
    """The catalogue is documentation first."""
    source = inspect.getsource(telemetry.Event).splitlines()
    for event in Event:
        at = next(i for i, line in enumerate(source) if line.strip().startswith(f"{event.name} ="))
        assert source[at - 1].strip().startswith("#: "), event
        assert event.value == event.name.lower()
