"""`MusicSession`: what a user opens; it wires limiter, transport and dispatcher together and runs them."""

from __future__ import annotations

import asyncio
import itertools
import math
import os
import re
import secrets
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import aiohttp
import anyio

from .api.request import Answer, Request
from .api.results import Credits
from .callbacks import WebhookConfig
from .clock import Clock
from .errors import ConfigurationError, InvalidRequest, MusicError
from .events import Events, JobState, RequestRefused, RequestSent, Stats, logger
from .jobs.dispatcher import Dispatcher
from .jobs.group import JobGroup, OnFailure, to_resend
from .jobs.job import Job, Unfinished, warn_of_unfinished
from .jobs.work import Order, Work
from .journal.account import AccountJournal
from .journal.budget import Budget
from .journal.protocol import JobJournal
from .journal.record import OPEN, account_id, storable
from .limiting.bucket import STANDARD_RATE, RateLimiter, TokenBucket
from .settings import Settings, check_positive, scheme_and_host
from .slices import in_slices, see_through
from .transport.http import HttpTransport

if TYPE_CHECKING:
    from .files.download import DownloadProgress, Format, Saveable
    from .files.hosts import FileHosts
    from .methods import Lyrics, Nuro, Producer, Riffusion, Sonic
    from .sandbox import Sandbox
    from .webhooks import WebhookEvent

R = TypeVar("R")

_RESUMED_AT_ONCE = 100
"""Jobs that `resume` submits before it lets others run: some milliseconds."""


class MusicSession:
    """One account's door to the service: `async with MusicSession() as music: …`.

    Everything that is sent goes through one rate limiter, and each token is spent on what is worth most at that moment.
    A session belongs to the event loop in which it was entered. Several sessions of one account in one process should
    share one `limiter`.
    """

    def __init__(
        self,
        api_key: str | None = None,
        base_url: str | None = None,
        *,
        limiter: RateLimiter | None = None,
        poll_limiter: RateLimiter | None = None,
        journal: str | os.PathLike[str] | JobJournal | None = None,
        account: str = "default",
        poll_interval: float | None = None,
        webhook: WebhookConfig | None = None,
        http: aiohttp.ClientSession | None = None,
        proxy: str | None = None,
        ca_file: str | os.PathLike[str] | None = None,
        budget: int | None = None,
        settings: Settings | None = None,
    ) -> None:
        """Check the settings; nothing is opened before the session is entered.

        `api_key`: else the environment variable AIMUSIC_API_KEY. `base_url`: else AIMUSIC_BASE_URL, else the service.
        `limiter`: default one request per 3 seconds, the standard plan; with a journal file, one that all processes
        which name that file share. `poll_limiter`: one for polls alone, on a plan that counts submits only; else
        both share `limiter`. `journal`: the path of a file in which every job is written down, so that nothing is
        lost or paid twice when the process dies; or a `JobJournal` of your own, never closed here. `account`: the
        account's name in the journal, the same whatever its API key is; name it where one journal serves several
        accounts of one service. `poll_interval`: least seconds between two polls of one task; default as the service
        recommends (sonic 15, others 5).
        `webhook`: the service reports by itself what becomes of a task, at an address of yours behind which one of
        the doors in `aimusic_async.webhooks` stands; then a song takes one request instead of two or more. `http`:
        an aiohttp session of your own, never closed here; the API is reached as it is set up, files are not.
        `proxy`: for the API and for files, `http://user:password@host:port` or `"none"`; else AIMUSIC_PROXY, else
        HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY as other programs read them (which an `http` of your own reads
        for itself). `ca_file`: a PEM file with certificates to trust beside the system's; else AIMUSIC_CA_FILE.
        `budget`: credits that this session may spend at most. `settings`: instead of key, address, interval, proxy
        and certificates, with more to set (`Settings.load`). Raises `ConfigurationError`.
        """
        given = {
            "api_key": api_key,
            "base_url": base_url,
            "poll_interval": poll_interval,
            "proxy": proxy,
            "ca_file": ca_file,
        }
        if settings is not None and (doubled := [name for name, value in given.items() if value is not None]):
            raise ConfigurationError(f"give settings, or {doubled[0]}, not both")
        _check_http(http)
        self._settings = settings or Settings.load(
            api_key=api_key, base_url=base_url, poll_interval=poll_interval, proxy=proxy, ca_file=ca_file
        )
        self._limiter = limiter
        self._poll_limiter = poll_limiter
        self._callback = webhook
        self._given_journal = journal
        self._journal: JobJournal | None = None
        self._account = account_id(_checked_account(account), scheme_and_host(self._settings.base_url)[1])
        self._run = ""
        self._ordered: tuple[tuple[Any, ...], Order] = ((), Order())
        self._budget = None if budget is None else Budget(budget)
        self._given_http = http
        self._cannot_download = ""
        self._stack = AsyncExitStack()
        self._dispatcher: Dispatcher | None = None
        self._transport: HttpTransport | None = None
        self._numbers = itertools.count(1)
        self.stats: Stats = Stats()
        """Counts of requests since the session was made."""
        self.events: Events = Events()
        """Everything that happens here; `music.events.listen(function)`."""
        self.events.listen(self.stats.count, RequestSent, RequestRefused)

    def __repr__(self) -> str:
        return f"<MusicSession {self._settings.base_url} {'open' if self._dispatcher else 'closed'}>"

    # --- opening and closing -----------------------------------------------------------------------------------------

    @classmethod
    @asynccontextmanager
    async def sandbox(
        cls,
        box: Sandbox | None = None,
        *,
        speed: float = 60.0,
        seed: int = 0,
        journal: str | os.PathLike[str] | JobJournal | None = None,
        poll_interval: float | None = None,
        webhook: WebhookConfig | None = None,
        budget: int | None = None,
    ) -> AsyncIterator[Self]:
        """Open a session on a local stand-in for the service: no key, no network, nothing paid.

        `speed=60` makes a minute a second. All seconds that you give or get in such a session are the service's: a
        `timeout=600` passes in ten. `box`: a running `Sandbox` of your own, instead of a new one with `speed` and
        `seed`. `journal`, `poll_interval`, `webhook` and `budget` as for any session. Downloads need the extra
        `sandbox` (`pip install 'aimusic-async[sandbox]'`), and songs are MP3 with the extra `mp3`, else WAV.
        """
        from .sandbox import Options, Sandbox, formats  # noqa: PLC0415 - only who asks for a sandbox loads it

        async with AsyncExitStack() as stack:
            if box is None:
                box = await stack.enter_async_context(Sandbox(Options(speed=speed, seed=seed)))
            settings = Settings(api_key=box.key, base_url=box.url, poll_interval=poll_interval, speed=box.options.speed)
            async with cls(settings=settings, journal=journal, webhook=webhook, budget=budget) as session:
                session._cannot_download = formats.missing()
                if said := formats.note():
                    logger.info("in the sandbox, %s", said)
                yield session

    async def __aenter__(self) -> Self:
        """Open journal and connection pool, and start the dispatcher; nothing is sent yet.

        Raises `JournalError` when the journal cannot be written.
        """
        if self._dispatcher is not None:
            raise MusicError("the session is open already")
        async with AsyncExitStack() as stack:
            limiter = await self._open_journal(stack) if self._given_journal is not None else None
            link = None
            if self._journal is not None:
                from .jobs.link import JournalLink  # noqa: PLC0415 - who needs no journal does not load it

                link = JournalLink(self._journal, self._account, self._settings.api_key)
                await link.open()
            transport = await stack.enter_async_context(HttpTransport(self._settings, self._given_http))
            dispatcher = Dispatcher(
                transport,
                self._limiter or limiter or TokenBucket(STANDARD_RATE * self._settings.speed),
                Clock(asyncio.get_running_loop(), self._settings.speed),
                self.events,
                self._settings,
                poll_limiter=self._poll_limiter,
                callback=self._callback,
                link=link,
            )
            self._run = secrets.token_hex(8)  # here, so that a process that was forked before has another
            # One task of its own: so the session may be entered and left in different tasks, as web frameworks do.
            host = asyncio.create_task(dispatcher.run(), name="aimusic dispatcher")
            stack.push_async_callback(_stop, host)
            await dispatcher.started.wait()
            self._stack = stack.pop_all()
        self._transport, self._dispatcher = transport, dispatcher
        return self

    async def _open_journal(self, stack: AsyncExitStack) -> RateLimiter | None:
        """Open the journal; return the limiter of its file, None when the journal is the user's own."""
        if not isinstance(self._given_journal, str | os.PathLike):
            self._journal = self._given_journal
            return None
        from .journal.sqlite import SqliteJournal  # noqa: PLC0415 - who needs no journal loads no SQLite
        from .limiting.shared import SharedTokenBucket  # noqa: PLC0415 - as above

        path = os.fspath(self._given_journal)
        self._journal = await stack.enter_async_context(SqliteJournal(path))
        if self._limiter is not None:
            return None
        rate = STANDARD_RATE * self._settings.speed
        return await stack.enter_async_context(SharedTokenBucket(_limit_beside(path), self._account, rate))

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close: jobs not sent yet are cancelled, those the service has are detached, with one warning for all.

        A POST that is under way is finished first, so that its task id is known. Cancelling the task while it closes
        breaks that off: such a job ends as `SubmissionUnknown`.
        """
        dispatcher, self._dispatcher = self._open, None
        journal = self.has_journal
        open_jobs = dispatcher.open_jobs()
        try:
            await dispatcher.close()
        finally:
            self._transport = self._journal = None
            try:
                await self._stack.aclose()
            finally:
                left = Unfinished()
                await see_through(in_slices(open_jobs, left.add))
                warn_of_unfinished("the session was left", left, journal=journal)

    # --- working -----------------------------------------------------------------------------------------------------

    async def run(self, request: Request[R], *, timeout: float | None = None) -> R:
        """Send a request before all batch work, and return its result.

        `timeout`: seconds from the moment the service accepted a task; then `JobTimeout`. Cancelling cancels the job:
        a task that was sent goes on at the service, unseen. Raises what `Job.result` raises.
        """
        job = self.open_job(request, timeout=timeout, direct=True)
        try:
            return await job
        except asyncio.CancelledError:
            job.cancel()
            warn_of_unfinished("run() was cancelled", Unfinished([job]), journal=self.has_journal)
            raise

    def submit(
        self,
        request: Request[R],
        *,
        timeout: float | None = None,
        key: str | None = None,
        priority: int = 0,
        resend_unknown: bool = False,
        resend_failed: bool = False,
    ) -> Job[R]:
        """Queue a request and return its job at once; `await` that for the result.

        `timeout`: seconds from the moment the service accepted it. `key`: your name for the job; in a journal it
        names the job for good, so that submitting it again, in any process, gives the same job and not a second song.
        `priority`: higher ones are sent first, those of one priority in the order in which they came.
        `resend_unknown`, `resend_failed`: see `JobGroup.submit`.
        """
        return self.open_job(
            request,
            key=key,
            timeout=timeout,
            priority=priority,
            resend=to_resend(unknown=resend_unknown, failed=resend_failed),
        )

    def attach(
        self, operation: type[Request[R]], task_id: str, *, timeout: float | None = None, key: str | None = None
    ) -> Job[R]:
        """Return a job for a task that the service already has, from any process; `timeout` counts from now.

        Raises `InvalidRequest` for an operation that is answered at once, or an empty task id.
        """
        if not (isinstance(operation, type) and issubclass(operation, Request)):
            raise InvalidRequest("operation", "must be a class of requests such as sonic.CreateMusic", operation)
        if operation.endpoint.answer is not Answer.TASK and not operation.endpoint.may_be_task:
            raise InvalidRequest("operation", "has no task: it is answered at once", operation.operation)
        if not isinstance(task_id, str) or not re.fullmatch(r"[\w:.-]*\w[\w:.-]*", task_id):
            raise InvalidRequest("task_id", "must be the id that the service gave", task_id)
        name = key if key is not None else f"{operation.operation}:{task_id}"
        if timeout is not None:
            check_positive("timeout", timeout)
        work = Work.of(self._open.rules, operation, name, Order(), task_id=task_id, timeout=timeout)
        job: Job[R] = Job(self._open, work)
        self._open.attach(work)
        return job

    async def resume(self, group: str | None = None, *, timeout: float | None = None) -> list[Job[Any]]:
        """Go on with the jobs that the journal holds open: queued, or taken by the service and not seen to end.

        `group`: only those of the group of that name. `timeout`: seconds for each, from now or from when it is
        accepted. What the service refused for what it is is not among them. Jobs that another living process works
        on are followed: they end here as they end there. What is `unknown` is left alone: see `journal`. Cancelling
        it leaves the jobs that it has resumed by then at work. Raises `ConfigurationError` without a journal,
        `JournalError` when it cannot be read.
        """
        from .api.operations import operations  # noqa: PLC0415 - loads the operations
        from .api.plain import from_plain  # noqa: PLC0415 - as above

        if timeout is not None:
            check_positive("timeout", timeout)
        dispatcher, known, jobs = self._open, operations(), list[Job[Any]]()
        records = await self.journal.jobs(group=group, state=OPEN)
        limits = await self.journal.budgets()
        own = () if self._budget is None else (self._budget,)
        for number, record in enumerate(records, 1):
            if number % _RESUMED_AT_ONCE == 0:
                await asyncio.sleep(0)
            if dispatcher.knows(record):
                continue
            try:
                request = from_plain(record.fields()) if record.request else None
                cls = type(request) if request is not None else known[record.operation]
            except (MusicError, KeyError, ValueError) as error:  # written by another version
                logger.warning("%s cannot be resumed: %s", record.key, error)
                continue
            if getattr(request, "webhook_url", None) is not None and record.state is JobState.QUEUED:
                logger.warning("%s is resumed without its webhook_secret, which is not kept", record.key)
            work = Work.of(
                dispatcher.rules,
                cls,
                record.key,
                Order(budgets=own, limit=limits.get(record.group), group=record.group),
                request=request,
                task_id=record.task_id if record.state is JobState.SUBMITTED else None,
                timeout=timeout,
            )
            jobs.append(Job(dispatcher, work))
            dispatcher.submit(work, record)
        return jobs

    @property
    def has_journal(self) -> bool:
        """Whether every job is written down in a journal."""
        return self._journal is not None

    @property
    def journal(self) -> AccountJournal:
        """What the journal knows of this account's jobs. Raises `ConfigurationError` without one."""
        if self._journal is None:
            raise ConfigurationError("the session has no journal: open it with MusicSession(journal='jobs.db')")
        return AccountJournal(self._journal, self._account, self._open.written)

    def group(
        self,
        name: str = "",
        *,
        timeout: float | None = None,
        on_failure: OnFailure = "wait",
        budget: int | None = None,
        history: bool = True,
    ) -> JobGroup:
        """Return a group of jobs, to be entered with `async with`; see `JobGroup`.

        `name`: under which the journal knows it, so that the next run goes on where this one stopped. `timeout`:
        seconds from entering it; what has not ended then ends as `JobTimeout`. `budget`: credits that its jobs may
        cost together, checked as each is about to be sent: then what exceeds it ends with `BudgetExceeded`. With a name
        and a journal, it holds for earlier runs and for other processes, too. `history=False`: for a group that lives
        long, which then lets go of finished jobs.
        """
        if timeout is not None:
            check_positive("timeout", timeout)
        if storable(name) != name:
            raise InvalidRequest("name", "must be text that a file can hold, without half characters", name)
        return JobGroup(self, name=name, timeout=timeout, on_failure=on_failure, budget=budget, history=history)

    async def credits(self) -> Credits:
        """Return what the account has left. Free, but takes a token."""
        from .api.account import GetCredits  # noqa: PLC0415 - loads the operations, which not every program needs

        return await self.run(GetCredits())

    async def download(
        self,
        what: Saveable | Iterable[Saveable],
        folder: str | os.PathLike[str],
        *,
        formats: Format | Collection[Format] = "audio",
        name: str = "{title} [{clip_id}]",
        overwrite: bool = False,
        tags: bool | None = None,
        most_bytes: int = 2**30,
        stall_timeout: float = 60.0,
        progress: Callable[[DownloadProgress], None] | None = None,
    ) -> list[Path]:
        """Save the files of songs, stems or clips into a folder, which is made when missing; return their paths.

        `what` may also be a `Wav`, a `Midi`, a `LyricsTimeline` (saved as .lrc), a job, or several of all these.

        `formats`: of each clip, any of "audio", "cover", "video" and "lyrics"; what the service did not make is left
        out, but for audio. `name`: how files are called, without suffix; fields are {title} {clip_id} {index} (from
        01) {part} (of stems), and for jobs {operation} {key}. Whatever they hold, the name is safe on every system.
        Without {clip_id} in it, a name that another file has gets the id added.

        A file that is there whole already (the host names the same length and the same last bytes) is kept;
        `overwrite=True` fetches it again. `tags`: whether to write ID3 tags into MP3s, with the cover; None: where the
        extra `tags` is installed. `most_bytes`: of one file. `stall_timeout`: seconds of this machine without a byte,
        then it is tried again. `progress` is called about ten times a second for each file.

        A file gets its name only when it is whole. What broke off, by an error, a cancellation or the end of the
        process, stays as a hidden `.part` where it can be gone on with: the same call does so. Four at a time for the
        session, with connections of their own that carry neither key nor cookies. Takes no token.

        Unless the service itself runs on this machine, files are asked for at public addresses only (and at those of
        `Settings.trusted_networks`), whatever a host's name resolves to. Through a proxy that cannot be promised: the
        proxy resolves names, so it must be one that keeps its own network to itself.

        Raises `DownloadFailed`, a `TransportError`, when the others are saved and some cannot be had; `OSError` for a
        folder that cannot be written; `ConfigurationError` for arguments that make no sense.
        """
        from .files.download import Wishes, download  # noqa: PLC0415 - who downloads nothing does not load it

        if self._transport is None:
            raise MusicError("the session is not open")
        if self._cannot_download and formats != "lyrics":
            raise ConfigurationError(self._cannot_download)
        wishes = Wishes.check(
            formats=formats,
            name=name,
            overwrite=overwrite,
            tags=tags,
            most_bytes=most_bytes,
            stall_timeout=stall_timeout,
            progress=progress,
        )
        return await download(self._file_hosts, what, Path(folder), wishes)

    @cached_property
    def _file_hosts(self) -> FileHosts:
        from .files.hosts import FileHosts, allowed  # noqa: PLC0415 - as above
        from .transport.network import Network  # noqa: PLC0415 - as above

        return FileHosts(allowed(self._settings), Network(self._settings))

    # --- the operations as methods -----------------------------------------------------------------------------------

    @cached_property
    def sonic(self) -> Sonic:
        """Songs, edits, stems, analysis."""
        from .methods import Sonic  # noqa: PLC0415 - heavy: the classes of every operation

        return Sonic(self.run)

    @cached_property
    def lyrics(self) -> Lyrics:
        """Words without music."""
        from .methods import Lyrics  # noqa: PLC0415 - heavy: the classes of every operation

        return Lyrics(self.run)

    @cached_property
    def producer(self) -> Producer:
        """One song a request, quickly."""
        from .methods import Producer  # noqa: PLC0415 - heavy: the classes of every operation

        return Producer(self.run)

    @cached_property
    def nuro(self) -> Nuro:
        """Switched off by the service since mid 2026."""
        from .methods import Nuro  # noqa: PLC0415 - heavy: the classes of every operation

        return Nuro(self.run)

    @cached_property
    def riffusion(self) -> Riffusion:
        """Deprecated by the service."""
        from .methods import Riffusion  # noqa: PLC0415 - heavy: the classes of every operation

        return Riffusion(self.run)

    # --- for the doors of webhooks -----------------------------------------------------------------------------------

    def webhook_secret(self, job_id: str | None) -> str | None:
        """See `webhooks.Recipient.webhook_secret`."""
        if self._callback is None or job_id is None:
            return None if self._callback is None else self._callback.secret
        return self._callback.secret_for(job_id)

    async def deliver(self, event: WebhookEvent, job_id: str | None) -> bool:
        """See `webhooks.Recipient.deliver`."""
        return self._dispatcher is not None and await self._dispatcher.deliver(event, job_id)

    # --- for groups --------------------------------------------------------------------------------------------------

    def open_job(
        self,
        request: Request[R],
        *,
        key: str | None = None,
        named: bool = True,
        timeout: float | None = None,
        priority: int = 0,
        direct: bool = False,
        group: str = "",
        budget: Budget | None = None,
        resend: Collection[JobState] = (),
        watcher: Callable[[Job[Any]], None] | None = None,
        deadline: float = math.inf,
    ) -> Job[R]:
        """See `group.Host.open_job`; a `direct` job goes before batch work."""
        if not isinstance(request, Request):
            raise InvalidRequest("request", "must be a request such as sonic.GetBpm(clip_id=…)", request)
        if timeout is not None:
            check_positive("timeout", timeout)
        if key is None or (not named and self._journal is not None):
            key = f"{request.operation}#{next(self._numbers)}"
            if self._journal is not None:
                key += f"@{self._run}"  # no two runs may give one name to different jobs
        if not isinstance(priority, int) or isinstance(priority, bool):
            raise ConfigurationError(f"priority must be a whole number; got {priority!r}")
        if self._journal is not None and storable(key) != key:
            raise InvalidRequest("key", "must be text that a file can hold, without half characters", key)
        how = (direct, priority, budget, group, tuple(resend), deadline)
        if how != self._ordered[0]:  # jobs of one kind share an order
            shared = self._journal is not None and bool(group)  # then the journal keeps what is committed
            own = tuple(one for one in (None if shared else budget, self._budget) if one is not None)
            limit = budget.limit if budget is not None and shared else None
            self._ordered = how, Order(direct, priority, own, limit, group, how[4], deadline)
        order = self._ordered[1]
        kind = type(request)
        work = Work.of(self._open.rules, kind, key, order, request=request, timeout=timeout, watcher=watcher)
        job: Job[R] = Job(self._open, work)
        self._open.submit(work)
        return job

    def give_up(self, job: Job[Any], error: MusicError, *, released: bool = False) -> None:
        """See `group.Host.give_up`."""
        if self._dispatcher is not None:
            self._dispatcher.give_up(job, error, released=released)

    def now(self) -> float:
        """See `group.Host.now`."""
        return self._open.now()

    def call_later(self, seconds: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        """See `group.Host.call_later`."""
        return self._open.call_later(seconds, callback)

    @property
    def _open(self) -> Dispatcher:
        if self._dispatcher is None:
            raise MusicError("the session is not open: use `async with MusicSession(…) as music:`")
        return self._dispatcher


def _check_http(http: object) -> None:
    if http is not None and not isinstance(http, aiohttp.ClientSession):
        hint = "; a proxy is named with proxy=" if isinstance(http, str) else ""
        raise ConfigurationError(f"http must be an aiohttp.ClientSession, not {type(http).__name__}{hint}")


def _limit_beside(path: str) -> str:
    """Return the file of the limit beside a journal: the same by whatever name the journal is opened."""
    return f"{os.path.realpath(path)}-limit"


def _checked_account(name: str) -> str:
    if not isinstance(name, str) or not name.strip() or "@" in name or not name.isprintable():
        raise ConfigurationError(f"account must be a name without @, such as 'default'; got {name!r}")
    return name


async def _stop(host: asyncio.Task[None]) -> None:
    """Cancel the dispatcher's task and see it end; what broke it is raised."""
    host.cancel()
    with anyio.CancelScope(shield=True):
        await asyncio.wait([host])  # unlike `await host` it leaves our own cancellation and the host's apart
    if not host.cancelled() and (error := host.exception()) is not None:
        raise error
