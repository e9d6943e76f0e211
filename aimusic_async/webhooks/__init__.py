"""Deliveries of the service: `parse` checks one anywhere, `aiohttp_handler` and `asgi_app` are a web server's doors."""

from ..api.wire import SongEvent as SongEvent
from .receiver import Recipient as Recipient
from .receiver import aiohttp_handler as aiohttp_handler
from .receiver import asgi_app as asgi_app
from .signature import WebhookEvent as WebhookEvent
from .signature import parse as parse
from .signature import sign as sign
