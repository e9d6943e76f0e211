"""Asyncio SDK for the AI Music API: many songs at once, a scarce rate limit used well, nothing lost that was paid for.

A name is loaded when it is first used (PEP 562), and with it only what it needs.
"""

from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:  # for type checkers and editors; `_NAMES` says the same to Python, and a test compares the two
    from . import webhooks as webhooks
    from .api import account as account
    from .api import lyrics as lyrics
    from .api import models as models
    from .api import nuro as nuro
    from .api import producer as producer
    from .api import riffusion as riffusion
    from .api import sonic as sonic
    from .api.fields import ClipId as ClipId
    from .api.plain import from_plain as from_plain
    from .api.plain import to_plain as to_plain
    from .api.progress import SongEvent as SongEvent
    from .api.request import Answer as Answer
    from .api.request import Endpoint as Endpoint
    from .api.request import Request as Request
    from .api.results import AlignedWord as AlignedWord
    from .api.results import Bpm as Bpm
    from .api.results import Clip as Clip
    from .api.results import ClipFile as ClipFile
    from .api.results import ClipFiles as ClipFiles
    from .api.results import Clips as Clips
    from .api.results import Credits as Credits
    from .api.results import Lyrics as Lyrics
    from .api.results import LyricsText as LyricsText
    from .api.results import LyricsTimeline as LyricsTimeline
    from .api.results import Midi as Midi
    from .api.results import MidiInstrument as MidiInstrument
    from .api.results import MidiNote as MidiNote
    from .api.results import Persona as Persona
    from .api.results import Song as Song
    from .api.results import Stems as Stems
    from .api.results import TagSuggestion as TagSuggestion
    from .api.results import UploadedClip as UploadedClip
    from .api.results import Voice as Voice
    from .api.results import Vox as Vox
    from .api.results import Wav as Wav
    from .callbacks import WebhookConfig as WebhookConfig
    from .errors import ApiError as ApiError
    from .errors import AuthenticationError as AuthenticationError
    from .errors import BudgetExceeded as BudgetExceeded
    from .errors import ConfigurationError as ConfigurationError
    from .errors import ContentRejected as ContentRejected
    from .errors import EndpointRetired as EndpointRetired
    from .errors import GatewayError as GatewayError
    from .errors import InsufficientCredits as InsufficientCredits
    from .errors import InvalidPayload as InvalidPayload
    from .errors import InvalidRequest as InvalidRequest
    from .errors import InvalidSignature as InvalidSignature
    from .errors import JobCancelled as JobCancelled
    from .errors import JobError as JobError
    from .errors import JobFailed as JobFailed
    from .errors import JobRef as JobRef
    from .errors import JobTimeout as JobTimeout
    from .errors import JournalError as JournalError
    from .errors import KeyConflict as KeyConflict
    from .errors import MusicError as MusicError
    from .errors import NotFound as NotFound
    from .errors import NotSent as NotSent
    from .errors import RateLimited as RateLimited
    from .errors import ServerError as ServerError
    from .errors import StaleTimestamp as StaleTimestamp
    from .errors import SubmissionUnknown as SubmissionUnknown
    from .errors import SubscriptionRequired as SubscriptionRequired
    from .errors import TransportError as TransportError
    from .errors import ValidationError as ValidationError
    from .errors import WebhookError as WebhookError
    from .errors import WrongLoop as WrongLoop
    from .events import BalanceDiffers as BalanceDiffers
    from .events import CreditsShort as CreditsShort
    from .events import Event as Event
    from .events import Events as Events
    from .events import JobChanged as JobChanged
    from .events import JobState as JobState
    from .events import JobStreaming as JobStreaming
    from .events import Purpose as Purpose
    from .events import RefusedRepeatedly as RefusedRepeatedly
    from .events import RequestAnswered as RequestAnswered
    from .events import RequestRefused as RequestRefused
    from .events import RequestSent as RequestSent
    from .events import Stats as Stats
    from .events import Verdict as Verdict
    from .events import WebhookReceived as WebhookReceived
    from .files.download import DownloadFailed as DownloadFailed
    from .files.download import DownloadProgress as DownloadProgress
    from .jobs.group import JobGroup as JobGroup
    from .jobs.job import Job as Job
    from .journal.account import AccountJournal as AccountJournal
    from .journal.memory import MemoryJournal as MemoryJournal
    from .journal.protocol import JobJournal as JobJournal
    from .journal.record import JobRecord as JobRecord
    from .journal.sqlite import SqliteJournal as SqliteJournal
    from .limiting.bucket import RateLimiter as RateLimiter
    from .limiting.bucket import Token as Token
    from .limiting.bucket import TokenBucket as TokenBucket
    from .limiting.shared import SharedTokenBucket as SharedTokenBucket
    from .running import run as run
    from .session import MusicSession as MusicSession
    from .settings import Settings as Settings
else:
    _NAMES = {
        "api": "account lyrics models nuro producer riffusion sonic",
        "api.fields": "ClipId",
        "api.plain": "from_plain to_plain",
        "api.request": "Answer Endpoint Request",
        "api.results": """
            AlignedWord Bpm Clip ClipFile ClipFiles Clips Credits Lyrics LyricsText LyricsTimeline Midi MidiInstrument
            MidiNote Persona Song Stems TagSuggestion UploadedClip Voice Vox Wav
        """,
        "api.progress": "SongEvent",
        "callbacks": "WebhookConfig",
        "files.download": "DownloadFailed DownloadProgress",
        "errors": """
            ApiError AuthenticationError BudgetExceeded ConfigurationError ContentRejected EndpointRetired
            GatewayError InsufficientCredits InvalidPayload InvalidRequest InvalidSignature JobCancelled JobError
            JobFailed JobRef JobTimeout JournalError KeyConflict MusicError NotFound NotSent RateLimited ServerError
            StaleTimestamp SubmissionUnknown SubscriptionRequired TransportError ValidationError WebhookError WrongLoop
        """,
        "events": """
            BalanceDiffers CreditsShort Event Events JobChanged JobState JobStreaming Purpose RefusedRepeatedly
            RequestAnswered RequestRefused RequestSent Stats Verdict WebhookReceived
        """,
        "journal.account": "AccountJournal",
        "jobs.group": "JobGroup",
        "jobs.job": "Job",
        "journal.protocol": "JobJournal",
        "journal.record": "JobRecord",
        "journal.memory": "MemoryJournal",
        "journal.sqlite": "SqliteJournal",
        "running": "run",
        "session": "MusicSession",
        "settings": "Settings",
        "limiting.bucket": "RateLimiter Token TokenBucket",
        "limiting.shared": "SharedTokenBucket",
        "webhooks": "webhooks",
    }
    _HOMES = {name: home for home, names in _NAMES.items() for name in names.split()}

    __all__ = list(_HOMES)

    def __getattr__(name: str) -> object:
        """Load a public name, and keep it."""
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        home = __import__(_HOMES[name], globals(), fromlist=[name], level=1)  # as `from .home import name` does
        value = globals()[name] = home if name == _HOMES[name] else getattr(home, name)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *_HOMES})
