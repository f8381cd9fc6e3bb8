"""`postwatch api`: the REST API under gunicorn."""

from __future__ import annotations

import logging
import signal
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

import click
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger

from api.storage.rate_counters import SqliteCounter
from projections.catalog import Views
from service import logging as logs
from service.api_server import (
    SHARED_MEMORY,
    STALLED_SECONDS,
    forget_counts,
    forget_worker,
    let_go_of_stalled,
    refuse_address_in_use,
    share_counts,
)
from service.errors import CommandError, ExitCode, exit_on_failure
from service.opening import awaited, opened_store
from service.settings import Settings
from service.supervision import follow_supervisor, supervised_option
from store.files.data_folder import DataFolder
from store.sqlite.engine import SqliteEngine

if TYPE_CHECKING:
    from gunicorn.workers.base import Worker

    from api.app import App, Options
    from api.http.rate_limit import Counter
    from store.store import Store


THREADS: Final = 4


class RootLogger(Logger):  # type: ignore[misc] # gunicorn has no types
    """Sends gunicorn's own lines where all others go; the API logs its requests itself."""

    def setup(self, cfg: Any) -> None:  # noqa: ANN401 - gunicorn has no types
        """Leave the handlers to the root logger."""
        self.loglevel = getattr(logging, cfg.loglevel.upper(), logging.INFO)
        self.error_log.setLevel(max(self.loglevel, logging.WARNING))
        self.error_log.propagate = True

    def exception(self, msg: str, *args: object, **kwargs: Any) -> None:  # noqa: ANN401 - as above
        """Tell a fault with its traceback; a client that takes nothing is none."""
        if isinstance(sys.exception(), BlockingIOError):
            self.warning("a client took nothing for %d s or more and was let go", STALLED_SECONDS)
        else:
            super().exception(msg, *args, **kwargs)


class TellingArbiter(Arbiter):  # type: ignore[misc] # gunicorn has no types
    """Gunicorn's first process, which says when it is told to end."""

    def handle_term(self) -> None:
        """End when the requests under way are answered."""
        _tell_stop(signal.SIGTERM, "finishing what is running")
        super().handle_term()

    def handle_int(self) -> None:
        """End at once."""
        _tell_stop(signal.SIGINT, "ending at once")
        super().handle_int()


class ApiServer(BaseApplication):  # type: ignore[misc] # gunicorn has no types
    """Gunicorn with our settings. Each worker opens the store for itself, after the fork."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._views: Views | None = None
        self._worker: Worker | None = None
        super().__init__()

    def run(self) -> None:
        """Serve until told to end. Raises CommandError when gunicorn cannot begin."""
        try:
            TellingArbiter(self).run()
        except RuntimeError as error:
            raise CommandError(ExitCode.FAILED, f"the API cannot be served: {error}") from None

    def load_config(self) -> None:
        """Set what docs/decisions.md explains."""
        options = {
            "bind": [self.settings.bind],
            "workers": self.settings.workers,
            "worker_class": "gthread",
            "threads": THREADS,
            "reuse_port": True,
            "control_socket_disable": True,
            "keepalive": 15,
            "timeout": 30,
            "graceful_timeout": 30,
            "worker_tmp_dir": str(SHARED_MEMORY) if SHARED_MEMORY.is_dir() else None,
            "loglevel": self.settings.log_level,
            "logger_class": RootLogger,
            "when_ready": _log_ready,
            "post_fork": self._note_worker,
            "post_worker_init": lambda worker: let_go_of_stalled(worker.sockets),
            "worker_exit": self._close,
            "child_exit": forget_worker,
            "on_exit": forget_counts,
            "proc_name": "postwatch-api",
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> App:
        """Return the WSGI application of one worker."""
        # Imported here: what counts for all workers must know the folder of the counts.
        from api.app import create_app  # noqa: PLC0415

        assert self._worker is not None  # noqa: S101 - gunicorn has forked it by now
        # A worker that is made while the database is away must not end the others.
        store = awaited(self._open, meanwhile=self._worker.notify)
        assert self._views is not None  # noqa: S101 - opened with the store
        return create_app(store, self._views, self._options(store))

    def _open(self) -> Store:
        """Open store and views, and show what the log holds."""
        with ExitStack() as stack:
            store = stack.enter_context(opened_store(self.settings))
            views = stack.enter_context(Views(store))
            _catch_up(views)
            stack.pop_all()
        self._views = views
        return store

    def _note_worker(self, _arbiter: Arbiter, worker: Worker) -> None:
        self._worker = worker

    def _options(self, store: Store) -> Options:
        from api.app import Options  # noqa: PLC0415 - as above
        from api.http.request_log import log_line  # noqa: PLC0415 - as above

        limit = self.settings.rate_limit
        counter = counter_of(store) if limit else None
        lines = logs.request_lines(self.settings.log_format)
        return Options(limit, counter, self.settings.cors_origins, lines or log_line)

    def _close(self, _arbiter: Arbiter, _worker: Worker) -> None:
        if self._views is not None:
            self._views.close()


def counter_of(store: Store) -> Counter:
    """Return what counts requests for all workers that share a store."""
    if isinstance(store.engine, SqliteEngine):
        return SqliteCounter(store.folder.views / "rate_limit.db")
    # Only here: a process on one host does without the driver's time and memory.
    from api.storage.rate_counters import PostgresCounter  # noqa: PLC0415 - as said above
    from store.postgres.engine import PostgresEngine  # noqa: PLC0415 - as said above

    assert isinstance(store.engine, PostgresEngine)  # noqa: S101 - there are two engines
    return PostgresCounter(store.engine.connections)


def _catch_up(views: Views) -> None:
    """Show what the log holds, and name the views that the projections process must make first."""
    missing = [name for name, each in views.projectors.items() if not each.is_current()]
    if missing:
        logging.getLogger("postwatch.api").warning(
            "views not made by this version yet: %s; `postwatch projections run` (a part of "
            "`postwatch up`) makes them, and requests that need them get 503 until then",
            ", ".join(missing),
        )
    if "monitors" not in missing:
        views.projector("monitors").catch_up()


def _tell_stop(number: signal.Signals, what: str) -> None:
    logging.getLogger("postwatch.api").info("%s: %s", number.name, what)


def _log_ready(arbiter: Arbiter) -> None:
    logging.getLogger("postwatch.api").info(
        "api: listening on %s with %d workers", arbiter.address, arbiter.num_workers
    )


@click.command()
@supervised_option
def api(*, supervised_by: int | None) -> None:
    """Serve the REST API on POSTWATCH_BIND with POSTWATCH_WORKERS workers."""
    with exit_on_failure():
        settings = Settings.from_env()
        logs.configure(settings.log_level, settings.log_format)
        follow_supervisor(supervised_by)
        if supervised_by is None:
            refuse_address_in_use(settings)
        # Opened and closed before the fork: a wrong key ends here, in one line.
        awaited(lambda: opened_store(settings)).close()
        share_counts(DataFolder(settings.data))
        ApiServer(settings).run()
