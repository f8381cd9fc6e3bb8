"""Where the synchronous work of a request runs: on the event loop, or in a bounded thread pool.

A worker process has one event loop, which must never wait: 5 ms at most. Short reads of SQLite
take tens of microseconds and run on the loop. Everything that may wait for a lock, a disk or a
database, or that computes for long, runs in threads. A pool lends its threads fairly: tenants
take turns, and no tenant occupies all of them, so costly requests of one organization wait for
each other and for nobody else's.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from enum import Enum, auto
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar, cast

import falcon

if TYPE_CHECKING:
    from collections.abc import Callable


T = TypeVar("T")

QUICK_THREADS: Final = 4
"""Threads of a worker for writes, and with PostgreSQL for short reads, too."""

COSTLY_THREADS: Final = 3
"""Threads of a worker for searches, reports, exports and other costly reads."""

MAX_WAITING: Final = 200
"""Pieces of work of one tenant that may wait for a pool; more are refused with 503."""

_RETRY_SECONDS: Final = 2


class Cost(Enum):
    """What an operation costs, which decides where it runs."""

    SHORT_READ = auto()
    """Tens of microseconds on SQLite: on the event loop. In a thread with PostgreSQL."""

    WRITE = auto()
    """May wait for a lock or a disk: in a thread."""

    COSTLY_READ = auto()
    """Computes for long or reads much: in a thread of the pool for that, one a tenant."""


class NeedsThreadError(Exception):
    """A short read turns out to need something that may wait; it is to run again in a thread."""


def require_thread() -> None:
    """Raise NeedsThreadError on the event loop, before something that may wait."""
    with suppress(RuntimeError):
        asyncio.get_running_loop()
        raise NeedsThreadError


class Execution:
    """Runs the work of requests. `reads_wait` says that even short reads use a network."""

    def __init__(self, *, reads_wait: bool) -> None:
        self._reads_wait = reads_wait
        self._quick = FairPool("quick", QUICK_THREADS, share=QUICK_THREADS - 1)
        self._costly = FairPool("costly", COSTLY_THREADS, share=1)

    def runs_on_loop(self, cost: Cost) -> bool:
        """Return whether work of this cost runs on the event loop."""
        return cost is Cost.SHORT_READ and not self._reads_wait

    async def run(self, cost: Cost, tenant: str, work: Callable[[], T]) -> T:
        """Run work where its cost says, in turn with that of other tenants.

        Raises what the work raises, and 503 when too much work of the tenant waits.
        """
        if self.runs_on_loop(cost):
            try:
                return work()
            except NeedsThreadError:
                return await self._quick.run(tenant, work)
        pool = self._costly if cost is Cost.COSTLY_READ else self._quick
        return await pool.run(tenant, work)


class _Job(NamedTuple):
    tenant: str
    work: Callable[[], Any]
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]


class FairPool:
    """Up to `threads` threads that tenants use in turn, each at most `share` of them at a time.

    Threads start when they are first needed. A piece of work that has begun runs to its end,
    also when the caller is gone: a write is never broken off.
    """

    def __init__(
        self, name: str, threads: int, *, share: int, max_waiting: int = MAX_WAITING
    ) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._idle = threads
        self._share = share
        self._max_waiting = max_waiting
        self._lock = Lock()
        self._waiting: OrderedDict[str, deque[_Job]] = OrderedDict()
        """By tenant; the tenant whose turn is next comes first."""
        self._running: Counter[str] = Counter()

    async def run(self, tenant: str, work: Callable[[], T]) -> T:
        """Run work in a thread and return its result. Raises what it raises, or 503."""
        loop = asyncio.get_running_loop()
        job = _Job(tenant, work, loop, loop.create_future())
        with self._lock:
            queue = self._waiting.setdefault(tenant, deque())
            if len(queue) >= self._max_waiting:
                raise falcon.HTTPServiceUnavailable(
                    description="Too many requests of this organization are waiting; try again",
                    retry_after=_RETRY_SECONDS,
                )
            queue.append(job)
            following = self._take() if self._idle else None
            if following is not None:
                self._idle -= 1
        if following is not None:
            self._threads.submit(self._work, following)
        return cast("T", await job.future)

    def _take(self) -> _Job | None:
        """Take the next job off the queue; the caller holds the lock."""
        for tenant, queue in self._waiting.items():
            if self._running[tenant] >= self._share:
                continue
            job = queue.popleft()
            self._running[tenant] += 1
            if queue:
                self._waiting.move_to_end(tenant)
            else:
                del self._waiting[tenant]
            return job
        return None

    def _work(self, job: _Job | None) -> None:
        """Run jobs in this thread until none may run."""
        while job is not None:
            if not job.future.cancelled():
                _run(job)
            with self._lock:
                self._running[job.tenant] -= 1
                if not self._running[job.tenant]:
                    del self._running[job.tenant]
                job = self._take()
                if job is None:
                    self._idle += 1


def _run(job: _Job) -> None:
    """Run a job, and hand what comes of it to its event loop."""
    result, error = None, None
    try:
        result = job.work()
    except BaseException as raised:  # noqa: BLE001 - it is raised where the job is awaited
        error = raised
    with suppress(RuntimeError):  # The loop is closed: nobody waits any more.
        job.loop.call_soon_threadsafe(_settle, job.future, result, error)


def _settle(future: asyncio.Future[Any], result: object, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
