"""How an answer travels back: whole, or as the request's fault has it."""

import json
import math
import socket
import struct
import sys
from asyncio import sleep
from collections.abc import Sequence
from contextlib import suppress
from http import HTTPStatus

from aiohttp import web

from aimusic_async.sandbox import texts
from aimusic_async.sandbox.books import Request
from aimusic_async.sandbox.options import Options
from aimusic_async.sandbox.texts import Answer

PIECES = 10
"""In how many parts a slow body comes."""

_RESET = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
"""The socket option by which closing throws away what was not sent, and resets the connection."""


async def respond(request: web.Request, entry: Request, answer: Answer, options: Options) -> web.StreamResponse:
    """Send `answer` as far as the fault in the request's `entry` lets it through, and record the status in `entry`."""
    fault = entry.fault
    if fault is None:
        entry.status = answer.status
        if answer.page is not None:
            kind = "text/html" if answer.page.startswith("<") else "text/plain"
            return web.Response(status=answer.status, text=answer.page, content_type=kind, headers=answer.headers)
        return web.json_response(answer.body, status=answer.status, headers=answer.headers)
    span = (fault.seconds or 0.0) / options.speed
    if fault.kind == "stalled":
        await sleep(span)
    if fault.kind in ("stalled", "dropped"):
        _hang_up(request, reset=fault.reset)
        return web.Response()  # goes nowhere
    if fault.status is not None:
        error = texts.Refusal(fault.status, "server_error", texts.SERVER_ERROR)
        answer = error.answer(options.error_body, retriable=options.retriable)
        if fault.status != HTTPStatus.INTERNAL_SERVER_ERROR:
            entry.status = fault.status
            return web.Response(status=fault.status, text=texts.gateway_page(fault.status), content_type="text/html")
    entry.status = answer.status
    body = json.dumps(answer.body).encode()
    match fault.kind:
        case "half body":
            response = await _piecemeal(request, answer, len(body), [body[: len(body) // 2]], 0.0)
            _hang_up(request, reset=False)  # after what was written
            return response
        case "slow":
            size = math.ceil(len(body) / PIECES)
            pieces = [body[start : start + size] for start in range(0, len(body), size)]
            return await _piecemeal(request, answer, len(body), pieces, span / len(pieces))
        case "cut JSON":
            body = body[: len(body) // 2]
    return web.Response(body=body, status=answer.status, headers=answer.headers, content_type="application/json")


async def _piecemeal(
    request: web.Request, answer: Answer, length: int, pieces: Sequence[bytes], pause: float
) -> web.StreamResponse:
    """Send these pieces of a body that should have `length` bytes, each after a pause."""
    response = web.StreamResponse(status=answer.status, headers=answer.headers)
    response.content_type = "application/json"
    response.content_length = length
    with suppress(ConnectionError):  # the caller had enough
        await response.prepare(request)
        for piece in pieces:
            await sleep(pause)
            await response.write(piece)
    return response


def _hang_up(request: web.Request, *, reset: bool) -> None:
    transport = request.transport
    if transport is None:  # the caller was faster
        return
    connection = transport.get_extra_info("socket")
    if reset and connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    transport.close()
