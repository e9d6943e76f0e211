"""`MusicSession`: what a user opens; it wires limiter, transport and dispatcher together and runs them."""

from __future__ import annotations

import asyncio
import math
import os
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import aiohttp
import anyio

from .api.pricing import check_prices, cost_of
from .api.reply import is_task_id
from .api.request import Answer, Request
from .api.results import Credits
from .arguments import check_account, check_arguments, check_key, check_name
from .callbacks import WebhookConfig
from .clock import Clock
from .errors import ConfigurationError, InvalidRequest, MusicError
from .events import Events, JobState, RequestRefused, RequestSent, Stats, logger
from .hiding import hide_arguments
from .home import Home
from .jobs.dispatcher import Dispatcher
from .jobs.group import JobGroup, OnFailure, to_resend
from .jobs.job import Job, Unfinished, note_given_up, warn_of_unfinished
from .jobs.work import Order, Work
from .journal.account import AccountJournal
from .journal.budget import Budget
from .journal.protocol import JobJournal
from .journal.record import OPEN, account_id
from .limiting.bucket import RateLimiter, TokenBucket
from .limiting.plan import limit, period
from .logs import show_logs
from .orders import Orders
from .platforms import Platforms
from .settings import Settings, check_positive, scheme_and_host
from .slices import in_slices, see_through
from .transport.http import HttpTransport

if TYPE_CHECKING:
    from .files.download import DownloadProgress, Format, Saveable
    from .files.hosts import FileHosts
    from .sandbox import Sandbox
    from .webhooks import WebhookEvent

R = TypeVar("R")

_RESUMED_AT_ONCE = 100
"""Jobs that `resume` submits before it lets others run: some milliseconds."""


class MusicSession(Platforms):
    """One account's door to the service: `async with MusicSession() as music: …`.

    Everything that is sent goes through one rate limiter, and each token is spent on what is worth most at that moment.
    A session belongs to the event loop in which it was entered. Several sessions of one account in one process should
    share one `limiter`.
    """

    _home: Home | None = None

    @hide_arguments
    def __init__(
        self,
        api_key: str | None = None,
        base_url: str | None = None,
        *,
        rate: float | None = None,
        capacity: int | None = None,
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
        `rate`, `capacity`: requests per second of the account's plan, and how many at once after a quiet time; else
        AIMUSIC_RATE and AIMUSIC_CAPACITY, else the standard plan's: 1/3 and 1. `limiter`: instead of these, one of your
        own; default one for this session, and with a journal file one that all processes which name that file share.
        `poll_limiter`: one for polls alone, on a plan that counts submits only; else
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
        check_arguments(
            limiter=limiter,
            poll_limiter=poll_limiter,
            journal=journal,
            webhook=webhook,
            http=http,
            settings=settings,
        )
        given = {
            "api_key": api_key,
            "base_url": base_url,
            "poll_interval": poll_interval,
            "rate": rate,
            "capacity": capacity,
            "proxy": proxy,
            "ca_file": ca_file,
        }
        if settings is not None and (doubled := [name for name, value in given.items() if value is not None]):
            raise ConfigurationError(f"give settings, or {doubled[0]}, not both")
        self._settings = settings or Settings.load(
            api_key=api_key,
            base_url=base_url,
            poll_interval=poll_interval,
            rate=rate,
            capacity=capacity,
            proxy=proxy,
            ca_file=ca_file,
        )
        check_prices(self._settings.prices)
        if limiter is not None and (named := self._settings.plan_given()):
            raise ConfigurationError(f"give {named}, or a limiter of your own that has it, not both")
        self._limiter = limiter
        self._poll_limiter = poll_limiter
        self._callback = webhook
        self._given_journal = journal
        self._journal: JobJournal | None = None
        self._account = account_id(check_account(account), scheme_and_host(self._settings.base_url)[1])
        self._budget = None if budget is None else Budget(budget)
        self._orders = Orders(self._budget)
        self._given_http = http
        self._cannot_download = ""
        self._stack = AsyncExitStack()
        self._dispatcher: Dispatcher | None = None
        self._transport: HttpTransport | None = None
        self.stats: Stats = Stats()
        """Counts of requests since the session was made."""
        self.events: Events = Events()
        """Everything that happens here; `music.events.listen(function)`."""
        self.events.listen(self.stats.count, RequestSent, RequestRefused)

    def __repr__(self) -> str:
        return f"<MusicSession {self._settings.base_url} {'open' if self._dispatcher else 'closed'}>"

    @property
    def period(self) -> float:
        """Seconds of the service from one request to the next, margin included, when many wait."""
        return period(self._settings, self._limiter)

    # --- opening and closing -----------------------------------------------------------------------------------------

    @classmethod
    def sandbox(
        cls,
        box: Sandbox | None = None,
        *,
        speed: float = 60.0,
        seed: int = 0,
        rate: float | None = None,
        capacity: int | None = None,
        journal: str | os.PathLike[str] | JobJournal | None = None,
        poll_interval: float | None = None,
        webhook: WebhookConfig | None = None,
        budget: int | None = None,
        prices: Mapping[str, int] | None = None,
    ) -> AbstractAsyncContextManager[Self]:
        """Open a session on a local stand-in for the service: no key, no network, nothing paid.

        `speed=60` makes a minute a second. All seconds that you give or get in such a session are the service's: a
        `timeout=600` passes in ten. `rate`, `capacity`: the plan of its account, in requests per second of the service
        and requests at once; default the standard plan's. `box`: a running `Sandbox` of your own, instead of a new one
        with `speed`, `seed` and that plan; the session then takes the plan of the box, unless you name another.
        `journal`, `poll_interval`, `webhook` and `budget` as for any session, `prices` as in `Settings`. Downloads
        need the extra `sandbox` (`pip install 'aimusic-async[sandbox]'`), and songs are MP3 with the extra `mp3`, else
        WAV.
        """
        from .sandboxed import SandboxSession  # noqa: PLC0415 - only who asks for a sandbox loads it

        options = {"journal": journal, "webhook": webhook, "budget": budget}
        return SandboxSession(
            cls,
            box,
            speed=speed,
            seed=seed,
            rate=rate,
            capacity=capacity,
            poll_interval=poll_interval,
            prices=prices,
            **options,
        )

    async def __aenter__(self) -> Self:
        """Open journal and connection pool, and start the dispatcher; nothing is sent yet.

        Raises `JournalError` when the journal cannot be written, `WrongLoop` where a copy of it is open already in
        another event loop or process.
        """
        mine = Home()
        # One step, so that of two threads that come at once one is refused.
        if (home := self.__dict__.setdefault("_home", mine)) is not mine:
            home.check()
            raise MusicError("the session is open already, or just being opened or closed")
        try:
            await self._enter(mine)
        except BaseException:
            del self._home
            raise
        return self

    async def _enter(self, home: Home) -> None:
        async with AsyncExitStack() as stack:
            stack.callback(show_logs())
            limiter = await self._open_journal(stack) if self._given_journal is not None else None
            link = None
            if self._journal is not None:
                from .jobs.link import JournalLink  # noqa: PLC0415 - who needs no journal does not load it

                link = JournalLink(self._journal, self._account, self._settings.api_key)
                await link.open()
            transport = await stack.enter_async_context(HttpTransport(self._settings, self._given_http))
            dispatcher = Dispatcher(
                transport,
                self._limiter or limiter or TokenBucket(**limit(self._settings)),
                Clock(home.loop, self._settings.speed),
                self.events,
                self._settings,
                poll_limiter=self._poll_limiter,
                callback=self._callback,
                link=link,
                home=home,
            )
            self._orders.begin_run()
            # One task of its own: so the session may be entered and left in different tasks, as web frameworks do.
            host = asyncio.create_task(dispatcher.run(), name="aimusic dispatcher")
            stack.push_async_callback(_stop, host)
            await dispatcher.started.wait()
            self._stack = stack.pop_all()
        self._transport, self._dispatcher = transport, dispatcher

    def close_with(self, stack: AsyncExitStack, *, cannot_download: str = "") -> None:
        """Close a stack last, when the session is left: what was opened for this session alone, such as a sandbox.

        `cannot_download`: why there are no files to be had, if so.
        """
        self._cannot_download = cannot_download
        mine, self._stack = self._stack, stack
        self._stack.push_async_exit(mine)

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
        return await stack.enter_async_context(
            SharedTokenBucket(_limit_beside(path), self._account, **limit(self._settings))
        )

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close: jobs not sent yet are cancelled, those the service has are detached, with one warning for all.

        A POST that is under way is finished first, so that its task id is known. Cancelling the task while it closes
        breaks that off: such a job ends as `SubmissionUnknown`. Raises `WrongLoop`, and closes nothing, where another
        event loop, thread or process leaves it.
        """
        if self._home is not None and self._home.forked and error is not None:
            return  # a forked child comes to its end; the session is its parent's
        dispatcher = self._open
        self._dispatcher = None
        journal = self.has_journal
        open_jobs = dispatcher.open_jobs()
        try:
            await dispatcher.close()
        finally:
            self._transport = self._journal = None
            try:
                await self._stack.aclose()
            finally:
                del self._home
                left = Unfinished()
                await see_through(in_slices(open_jobs, lambda job: note_given_up(job, left)))
                for ended in dispatcher.unread.take():
                    # What went well is in the journal; it is named when the program did not come as far as to read it.
                    if ended.state is not JobState.SUCCEEDED or not journal or error is not None:
                        left.add_ended(ended)
                if not journal or error is not None:
                    left.counts[JobState.SUCCEEDED] += dispatcher.unread.unnamed
                warn_of_unfinished("the session was left", left, journal=journal)

    # --- working -----------------------------------------------------------------------------------------------------

    async def run(self, request: Request[R], *, timeout: float | None = None) -> R:
        """Send a request before all batch work, and return its result.

        `timeout`: seconds from this call; then `JobTimeout`, after a POST that is under way. Cancelling cancels the
        job: a task that was sent goes on at the service, unseen. Raises what `Job.result` raises.
        """
        job = self.open_job(request, timeout=timeout, direct=True)
        try:
            return await job
        except asyncio.CancelledError:
            job.cancel()
            note_given_up(job, left := Unfinished())
            warn_of_unfinished("run() was cancelled", left, journal=self.has_journal)
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
        if not isinstance(task_id, str) or not is_task_id(task_id):
            raise InvalidRequest("task_id", "must be the id that the service gave", task_id)
        name = check_key(key) if key is not None else f"{operation.operation}:{task_id}"
        if timeout is not None:
            check_positive("timeout", timeout)
        dispatcher = self._open
        if self._journal is not None:
            check_name("key", name)
        work = Work.of(dispatcher.rules, operation, name, Order(), task_id=task_id, timeout=timeout)
        job: Job[R] = Job(dispatcher, work)
        dispatcher.attach(work)
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
        from .api.plain import request_from_plain  # noqa: PLC0415 - as above

        if timeout is not None:
            check_positive("timeout", timeout)
        if group is not None:
            check_name("group", group)
        dispatcher, known, jobs = self._open, operations(), list[Job[Any]]()
        records = deque(await self.journal.jobs(group=group, state=OPEN))
        limits = await self.journal.budgets()
        own = () if self._budget is None else (self._budget,)
        while records:
            if len(records) % _RESUMED_AT_ONCE == 0:
                await asyncio.sleep(0)
            record = records.popleft()  # one by one: to let go of thousands at once takes long, too
            if dispatcher.knows(record):
                continue
            try:
                request = request_from_plain(record.fields()) if record.request else None
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
        check_name("name", name)
        return JobGroup(self, name=name, timeout=timeout, on_failure=on_failure, budget=budget, history=history)

    @property
    def prices(self) -> Mapping[str, int]:
        """Prices that differ from those of the request classes: see `Settings.prices`."""
        return self._settings.prices

    def cost_of(self, request: Request[Any]) -> int:
        """Return the credits that a request costs, as priced here."""
        return cost_of(request, self._settings.prices)

    async def credits(self) -> Credits:
        """Return what the account has left. Free, but takes a token.

        A balance that fell by more than the requests since the last time explain is logged, with `BalanceDiffers`.
        """
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

        `what` may also be a `Wav`, `ClipFiles`, a `Midi`, a `LyricsTimeline` (saved as .lrc), a job, or several of all
        these.

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

        self._open  # noqa: B018 - raises where it is not open, or not here
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

    # --- for the doors of webhooks -----------------------------------------------------------------------------------

    def webhook_secret(self, job_id: str | None) -> str | None:
        """See `webhooks.Recipient.webhook_secret`."""
        if self._callback is None or job_id is None:
            return None if self._callback is None else self._callback.secret
        return self._callback.secret_for(job_id)

    async def deliver(self, event: WebhookEvent, job_id: str | None) -> bool:
        """See `webhooks.Recipient.deliver`."""
        return self._dispatcher is not None and await self._dispatcher.deliver(event, job_id)

    def check_loop(self) -> None:
        """Raise `WrongLoop` for whoever comes from another event loop, thread or process than the session's.

        A session that is not open belongs to none.
        """
        if self._home is not None:
            self._home.check()

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
        dispatcher, journalled = self._open, self._journal is not None
        name = self._orders.key_for(request, key, named=named, journalled=journalled)
        order = self._orders.order_for(
            direct=direct,
            priority=priority,
            budget=budget,
            group=group,
            resend=resend,
            deadline=deadline,
            journalled=journalled,
        )
        kind = type(request)
        work = Work.of(dispatcher.rules, kind, name, order, request=request, timeout=timeout, watcher=watcher)
        job: Job[R] = Job(dispatcher, work)
        dispatcher.submit(work)
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
        self._dispatcher.home.check()
        return self._dispatcher


def _limit_beside(path: str) -> str:
    """Return the file of the limit beside a journal: the same by whatever name the journal is opened."""
    return f"{os.path.realpath(path)}-limit"


async def _stop(host: asyncio.Task[None]) -> None:
    """Cancel the dispatcher's task and see it end; what broke it is raised."""
    host.cancel()
    with anyio.CancelScope(shield=True):
        await asyncio.wait([host])  # unlike `await host` it leaves our own cancellation and the host's apart
    if not host.cancelled() and (error := host.exception()) is not None:
        raise error
