"""How do Headway's processes share a server that nobody installed?

The first that comes starts it, others attach, the last one out stops it. Who still uses it is known from shared locks
on `users.lock`, which the kernel drops with their holder; so a killed user is never counted, and a server left running
by one is simply found by the next. `start.lock` is held while somebody looks or starts: two never start at once.
"""

from __future__ import annotations

import atexit
import os
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Final

from headway.errors import ServerError
from runtime.clock import Deadline, SystemClock
from runtime.embedded_engine import Engine, find_engine
from runtime.embedded_files import read_password
from runtime.embedded_process import Answer, ServerDirectory, waiting
from runtime.flock import FileLock
from runtime.secret import Secret
from runtime.telemetry import Event, get_logger

_log = get_logger("runtime")
_CLOCK: Final = SystemClock()

#: Loading a large AOF takes seconds; whoever waits longer should hear why.
PATIENCE: Final = timedelta(seconds=60)
_STOP_PATIENCE: Final = timedelta(seconds=30)
_REAP_S: Final = 5.0


class EmbeddedServer:
    """One process's share in the embedded server of a home."""

    def __init__(self, home: Path, *, engine: Engine | None = None) -> None:
        """Prepare a share; `join` is the way in. `engine` stands in for what `find_engine` would find."""
        self._root = home.expanduser().absolute() / "server"
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._engine = engine
        self._owner_pid = os.getpid()
        self._users: FileLock | None = None
        self._directory: ServerDirectory | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._url = ""

    @classmethod
    def join(cls, home: Path, *, engine: Engine | None = None, patience: timedelta = PATIENCE) -> EmbeddedServer:
        """Use the embedded server of `home`: attach to the one that runs, or start one. Returns when it answers.

        The share is given back by `leave`, at the latest when this process ends in an orderly way.
        Raises ServerMissing when there is no server program, ServerError when it doesn't come up within `patience`.
        """
        server = cls(home, engine=engine)
        try:
            server._become_user(Deadline(patience, clock=_CLOCK))
            server.ensure(patience=patience)
        except BaseException:
            server.leave()  # a server that was just started must not stay behind a failure or a Ctrl-C
            raise
        atexit.register(server.leave)
        return server

    @property
    def url(self) -> str:
        """`redis://:<password>@127.0.0.1:<port>/0`. Holds a secret: log `runtime.secret.hide_passwords(url)`."""
        return self._url

    def ensure(self, *, patience: timedelta = PATIENCE) -> None:
        """Start the server again if it died. It takes its former port when it can, so that clients find it.

        Raises ServerMissing and ServerError as `join` does.
        """
        deadline = Deadline(patience, clock=_CLOCK)
        answer = Answer.AWAY
        while True:
            if self._start_or_find(deadline):
                return
            answer = self._attach(deadline)
            if answer is Answer.READY:
                return
            if deadline.passed:
                break
        raise ServerError(
            f"a server owns {self._directory and self._directory.path}, but it {answer.value}. If it runs in another "
            "container on the same volume, give this process a HEADWAY_HOME of its own; else end it and start again"
        )

    def leave(self) -> None:
        """Give the share back; the last one out stops the server and waits for it. Safe to call twice.

        A forked child has inherited the share but doesn't own it: there this does nothing.
        """
        if os.getpid() != self._owner_pid:
            return
        atexit.unregister(self.leave)
        users, self._users = self._users, None
        if users is None:
            return
        with users:
            # Two who leave at once: each gives up its shared lock before it asks, so exactly one is the last.
            if users.try_exclusive():
                self._stop()
        self._let_go_of_child()

    def _become_user(self, deadline: Deadline) -> None:
        users = FileLock(self._root / "users.lock")
        for _ in waiting("the former embedded server to stop", directory=self._root, deadline=deadline):
            if users.try_shared():
                self._users = users
                return
        users.close()
        raise ServerError(f"the former embedded server in {self._root} does not stop: end it by hand and start again")

    def _start_or_find(self, deadline: Deadline) -> bool:
        """Start a server and return True, or note which directory has a running one and return False."""
        with FileLock(self._root / "start.lock") as start:
            for _ in waiting("another process to start the embedded server", directory=self._root, deadline=deadline):
                if start.try_exclusive():
                    break
            else:
                raise ServerError(f"another process holds {start.path} and does not get its server started: end it")
            password = read_password(self._root / "password")
            self._directory = self._running(password)
            return self._directory is None and self._start(password, deadline)

    def _running(self, password: Secret) -> ServerDirectory | None:
        # Whatever its engine: two processes with different engines must not work on two servers of one home.
        found = [ServerDirectory(path.parent, password=password) for path in self._root.glob("*/data.lock")]
        return next((directory for directory in found if directory.is_running), None)

    def _start(self, password: Secret, deadline: Deadline) -> bool:
        engine = self._engine or find_engine()
        self._let_go_of_child()  # the former one, when it died
        self._directory = ServerDirectory(self._root / engine.label, password=password)
        self._warn_of_other_data(engine)
        child = self._directory.start(engine, deadline=deadline)
        if child is None:
            return False
        self._child = child
        self._announce(Event.SERVER_STARTED)
        return True

    def _attach(self, deadline: Deadline) -> Answer:
        """Wait for a server that somebody else started; returns early when it is gone."""
        directory = self._directory
        if directory is None:
            return Answer.AWAY
        answer = Answer.AWAY
        for _ in waiting("the embedded server to answer", directory=directory.path, deadline=deadline):
            answer = directory.ask()
            if answer is Answer.READY:
                self._announce(Event.SERVER_ATTACHED)
            if answer is Answer.READY or not directory.is_running:
                break
        return answer

    def _announce(self, event: Event) -> None:
        if self._directory is None or self._directory.port is None:
            raise ServerError(
                f"the embedded server's port file in {self._root} is missing: end the server, start again"
            )
        self._url = self._directory.url(self._directory.port)
        _log.info(
            event, engine=self._directory.path.name, port=self._directory.port, directory=str(self._directory.path)
        )

    def _warn_of_other_data(self, engine: Engine) -> None:
        others = [path.parent.parent.name for path in self._root.glob("*/data/appendonlydir")]
        for left in sorted(set(others) - {engine.label}):
            _log.warning(Event.SERVER_DATA_LEFT, ours=engine.label, left=left)

    def _stop(self) -> None:
        directory = self._directory
        if directory is None or not directory.is_running:
            return
        if directory.stop(deadline=Deadline(_STOP_PATIENCE, clock=_CLOCK)):
            _log.info(Event.SERVER_STOPPED, engine=directory.path.name, directory=str(directory.path))
        else:
            _log.error(Event.SERVER_STUCK, directory=str(directory.path))

    def _let_go_of_child(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        in_use = self._directory is not None and self._directory.is_running
        try:
            child.wait(0 if in_use else _REAP_S)
        except subprocess.TimeoutExpired:
            child.returncode = 0  # it lives on for the others and isn't ours to reap: Popen would complain at the end
