"""How does an app hand over its messages?

    client = Client("redis://localhost:6379/0")
    client.push("15555550100", to="393331234567", text="Your code is 1234", class_="urgent")

`push_many` is one pipelined publish. Both check everything before anything is enqueued, and are safe to repeat with the
ids that they were given: a message id is accepted once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from functools import cache
from importlib import resources
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError
from redis.retry import Retry

from headway import keys, publish
from headway.envelope import new_ids
from headway.errors import BrokerUnavailable, InvalidMessage, NumberDrained
from headway.message import MESSAGE_ID, NUMBER, Message


@cache
def push_script() -> str:
    """Return the source of the script that puts messages on a lane."""
    return resources.files("headway").joinpath("lua/push.lua").read_text()


class Client:
    """A connection to one Headway: give it the URL of its broker, or a redis client that you have already.

    Thread-safe, like redis-py's own client. `record_ttl`: for how long the record of a waiting message is kept.
    """

    def __init__(self, broker: str | redis.Redis, *, record_ttl: timedelta = timedelta(days=30)) -> None:
        if isinstance(broker, str):
            # No repeats behind our back: push is safe to repeat, and the caller shall know that it failed.
            broker = redis.Redis.from_url(
                broker, retry=Retry(NoBackoff(), 0), socket_timeout=5, socket_connect_timeout=5
            )
        self._redis = broker
        self._sha = hashlib.sha1(push_script().encode(), usedforsecurity=False).hexdigest()
        self._record_ttl_s = int(record_ttl.total_seconds())

    def push(self, number: str, message: Message | None = None, /, *, id: str | None = None, **fields: Any) -> str:
        """Enqueue one message (a Message, or its fields) and return its id.

        Raises InvalidMessage, which names the field: then nothing was accepted. Raises BrokerUnavailable: then it may
        have been, and repeating with the same `id` is safe. Raises NumberDrained when a person has the number take no
        more: nothing was accepted.
        """
        return self.push_many(number, [one(message, fields)], ids=None if id is None else [id])[0]

    def push_many(
        self, number: str, messages: Iterable[Message | Mapping[str, Any]], *, ids: Sequence[str] | None = None
    ) -> list[str]:
        """Enqueue many messages in one pipelined publish and return their ids, in order.

        All of them are checked before the first is enqueued. Raises InvalidMessage, NumberDrained and
        BrokerUnavailable as `push` does.
        """
        rows, ids = checked(number, messages, ids)
        try:
            self._send(lambda: publish.calls(number, rows, ids, record_ttl_s=self._record_ttl_s))
        except (redis.ConnectionError, redis.TimeoutError) as error:
            raise BrokerUnavailable(f"the server doesn't answer ({error}); repeat with the same ids") from error
        except redis.ResponseError as error:
            if drained := publish.drained(error):
                raise NumberDrained(f"{number}: {drained}") from error
            raise BrokerUnavailable(f"the server refuses to write ({error}); nothing more was accepted") from error
        return ids

    def _send(self, calls: Callable[[], Iterator[publish.PushCall]]) -> None:
        """Run the script for each call; a server that forgot it (restart, SCRIPT FLUSH) is told it again."""
        pool: Any = self._redis.connection_pool
        connection = pool.get_connection()
        try:
            try:
                connection.retry.call_with_retry(lambda: self._run(connection, calls()), lambda _: None)
            except NoScriptError:
                connection.send_command("SCRIPT", "LOAD", push_script())
                connection.read_response()
                connection.retry.call_with_retry(lambda: self._run(connection, calls()), lambda _: None)
        finally:
            pool.release(connection)

    def _run(self, connection: Any, calls: Iterator[publish.PushCall]) -> None:
        """Send all calls before the first answer is read: while the server takes one the next is sealed.

        Raises what the first refused call was answered, when all answers have been read.
        """
        sent, refused = 0, []
        try:
            for names, args in calls:
                words = connection.pack_command("EVALSHA", self._sha, len(names), *names, *args)
                # A health check would read what is the answer to a call.
                connection.send_packed_command(words, check_health=sent == 0)
                sent += 1
            for _ in range(sent):
                try:
                    connection.read_response()
                except redis.ResponseError as error:
                    refused.append(error)
        except BaseException:
            connection.disconnect()  # an answer that nobody read would be the next one's
            raise
        if refused:
            raise refused[0]

    def status(self, message_id: str) -> dict[str, str] | None:
        """Return the record of a message, or None when there is none (any more)."""
        check_id(message_id)
        try:
            record = self._redis.hgetall(keys.record(message_id))
        except (redis.ConnectionError, redis.TimeoutError) as error:
            raise BrokerUnavailable(f"the server doesn't answer ({error})") from error
        found = {_str(name): _str(value) for name, value in record.items()}
        if "number" in found:  # which of its shards has the recipient is our affair
            found["number"] = keys.number_of_unit(found["number"])
        return found or None


def checked(
    number: str, messages: Iterable[Message | Mapping[str, Any]], ids: Sequence[str] | None
) -> tuple[list[Message], list[str]]:
    """Return the messages of a push, checked, and an id for each; new ones when none are given.

    Raises InvalidMessage, which names the field.
    """
    if not isinstance(number, str) or not NUMBER.match(number):
        raise InvalidMessage("number", "must be the sending number: 7 to 15 digits with country code, without +")
    rows = [message if isinstance(message, Message) else Message.of(message) for message in messages]
    if ids is None:
        return rows, new_ids(len(rows))
    if isinstance(ids, str):
        raise InvalidMessage("ids", "must be a list of ids, one for each message")
    given = list(ids)
    for message_id in given:
        check_id(message_id, field="ids")
    if len(given) != len(rows) or len(set(given)) != len(rows):
        raise InvalidMessage("ids", f"give one id of its own to each of the {len(rows)} messages")
    return rows, given


def one(message: Message | None, fields: Mapping[str, Any]) -> Message:
    """Return the message of a push that was given as a Message or by its fields, not both."""
    if message is None:
        return Message(**fields)
    if fields:
        raise InvalidMessage(next(iter(fields)), "give a Message or its fields, not both")
    return message


def check_id(message_id: str, *, field: str = "id") -> None:
    """Raise InvalidMessage for what can't be the id of a message."""
    if not isinstance(message_id, str) or not MESSAGE_ID.match(message_id):
        raise InvalidMessage(field, "an id has 1 to 128 letters, digits or any of _ . : -")


def _str(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
