"""Ties a session to locust: command line, start, reports from workers, end, and verdict.

Users run in the local process or in workers. The *leader*, the master or the local process, fills
the pool, looks at it each second, and judges. Workers audit their leases each second and send what
is new along with locust's own reports; the last report is a message of its own, sent when a
worker's users have ended. A headless master ends a test without waiting for its workers, so the
leader tells them to stop and waits for those reports before it judges.

The verdict is made in ``test_stop``, before locust writes its HTML report: violations are among the
report's exceptions. They are printed last of all, and the exit code is 1.
"""

from __future__ import annotations

from typing import Any

import gevent
from gevent.event import Event
from locust.runners import MasterRunner, WorkerRunner

from pharox_redis.embedded import EmbeddedServer

from .options import add_arguments, from_namespace, without_password
from .session import Session
from .verdict import lines

STOP_TIMEOUT = 10.0
"""Seconds users have to end, where ``--stop-timeout`` does not say it."""

STOP_MESSAGE, LAST_REPORT = "pharox_stop", "pharox_last_report"
LOCAL = "local"


def session_of(environment: Any) -> Session:
    """The run that is on."""
    session: Session = environment.pharox_load.session
    return session


def install(events: Any) -> None:
    """Listen to locust. For locustfiles, when they are imported."""
    events.init_command_line_parser.add_listener(lambda parser, **_: add_arguments(parser))
    events.init.add_listener(lambda environment, **_: Wiring(environment))


class Wiring:
    """The listeners of one locust process."""

    def __init__(self, environment: Any) -> None:
        self._environment, self._runner = environment, environment.runner
        self._master = isinstance(self._runner, MasterRunner)
        self._worker = isinstance(self._runner, WorkerRunner)
        self._server: EmbeddedServer | None = None
        self._verdict: list[str] = []
        self._reported = Event()
        self.session: Session | None = None
        environment.pharox_load = self
        environment.stop_timeout = environment.stop_timeout or STOP_TIMEOUT
        events = environment.events
        events.test_start.add_listener(self._on_start)
        events.test_stop.add_listener(self._on_stop)
        events.quitting.add_listener(self._on_quitting)
        events.quit.add_listener(self._on_quit)
        if self._worker:
            events.report_to_master.add_listener(self._on_report_to_master)
            self._runner.register_message(STOP_MESSAGE, self._on_stop_message, concurrent=True)
            return
        if self._master:
            events.worker_report.add_listener(self._on_worker_report)
            events.worker_connect.add_listener(self._on_worker_connect)
            self._runner.register_message(LAST_REPORT, self._on_last_report)
        self._choose_server()

    def _choose_server(self) -> None:
        """The server of the run, which workers are told, too."""
        options = self._environment.parsed_options
        if not (options.pharox_url or self._environment.host):
            self._server = EmbeddedServer().start()
            options.pharox_url = self._server.url
        options.pharox_url = options.pharox_url or self._environment.host
        self._environment.host = without_password(options.pharox_url)
        from_namespace(options)

    # -- start ---------------------------------------------------------------------------------

    def _on_start(self, **_: Any) -> None:
        options = from_namespace(self._environment.parsed_options, self._environment.host)
        try:
            self.session = session = Session(options, leads=not self._worker)
        except Exception:
            self._environment.process_exit_code = 1
            gevent.spawn(self._runner.quit)
            raise
        self._verdict, self._reported = [], Event()
        if session.judge is not None:
            for reporter in list(self._runner.clients) if self._master else [LOCAL]:
                session.judge.expect(reporter)
            session.every_period(session.look)
        if not self._master:
            session.every_period(self._book)

    def _book(self) -> None:
        """Audit what is over. A worker's report goes with locust's own, each three seconds."""
        assert self.session is not None
        if self.session.judge is not None:
            self.session.judge.take(LOCAL, self.session.report())
        else:
            self._pending.append(self.session.report())

    # -- from workers to the master ------------------------------------------------------------

    @property
    def _pending(self) -> list[dict[str, Any]]:
        assert self.session is not None
        return self.session.pending

    def _on_report_to_master(self, data: dict[str, Any], **_: Any) -> None:
        if self.session is not None:
            data["pharox"] = list(self._pending)
            self._pending.clear()

    def _on_worker_report(self, client_id: str, data: dict[str, Any], **_: Any) -> None:
        if self.session is not None and self.session.judge is not None:
            for report in data.get("pharox", ()):
                self.session.judge.take(client_id, report)

    def _on_worker_connect(self, client_id: str, **_: Any) -> None:
        if self.session is not None and self.session.judge is not None:
            self.session.judge.expect(client_id)

    def _on_last_report(self, environment: Any, msg: Any) -> None:
        assert self.session is not None and self.session.judge is not None
        for report in msg.data["reports"]:
            self.session.judge.take(msg.node_id, report)
        if not self.session.judge.awaited:
            self._reported.set()

    def _on_stop_message(self, environment: Any, msg: Any) -> None:
        self._runner.stop()

    # -- end -----------------------------------------------------------------------------------

    def _on_stop(self, **_: Any) -> None:
        session = self.session
        if session is None:
            return
        session.end_rounds()
        if self._worker:
            reports = [*self._pending, session.report(last=True)]
            self._pending.clear()
            self._runner.send_message(LAST_REPORT, {"reports": reports})
            self.session = None
            session.storage.close()
            return
        judge = session.judge
        assert judge is not None
        if self._master:
            self._await_workers(session)
        else:
            judge.take(LOCAL, session.report(last=True))
        session.close()
        self._verdict = lines(judge)
        for problem in judge.problems:
            self._runner.log_exception("pharox-redis", problem, problem)
        if judge.problems:
            self._environment.process_exit_code = 1
        else:
            session.clean_up()
        self.session = None
        session.storage.close()

    def _await_workers(self, session: Session) -> None:
        judge = session.judge
        assert judge is not None
        self._runner.send_message(STOP_MESSAGE)
        if judge.awaited and not self._reported.wait(self._environment.stop_timeout + 20):
            for worker in sorted(judge.awaited):
                judge.blame("worker lost", f"{worker} sent no last report: its leases are unknown")

    def _on_quitting(self, **_: Any) -> None:
        """Locust ends before the test did, say by Ctrl-C: the verdict is due now."""
        if self.session is not None:
            self._runner.stop()

    def _on_quit(self, **_: Any) -> None:
        for line in self._verdict:
            print(line, flush=True)
        if self._server is not None:
            self._server.close()
