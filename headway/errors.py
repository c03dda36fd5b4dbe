"""What can go wrong, as one family.

    HeadwayError
    ├── InvalidMessage      a message's field can't be sent as it is
    ├── SettingError        an environment variable says something it can't
    ├── ControlError        what a person asked of a number can't be done like this
    ├── NumberDrained       a person has the number take no more messages
    ├── ServerError         the Redis or Valkey server can't be used as it is
    │   └── ServerMissing   there is no server to start
    └── BrokerUnavailable   the server doesn't answer: nothing was accepted

Every message says what to do. Errors are for surprises; an expected answer (wait, refuse) is a value, never an
exception.
"""

from __future__ import annotations


class HeadwayError(Exception):
    """The root: catch this to catch all of Headway's own errors."""


class InvalidMessage(HeadwayError):
    """A message's field can't be sent as it is; nothing was enqueued."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


class SettingError(HeadwayError):
    """An environment variable says something it can't."""

    def __init__(self, variable: str, problem: str) -> None:
        super().__init__(f"{variable}: {problem}")
        self.variable = variable
        self.problem = problem


class ControlError(HeadwayError):
    """What a person asked of a number can't be done like this; nothing was changed."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


class NumberDrained(HeadwayError):
    """A person has the number, or one class of it, take no more messages: what waits leaves. Says who, and why."""


class ServerError(HeadwayError):
    """The Redis or Valkey server can't be used as it is set up."""


class ServerMissing(ServerError):
    """There is no Redis or Valkey server to start on this machine."""


class BrokerUnavailable(HeadwayError):
    """The server doesn't answer: nothing was accepted, try again."""
