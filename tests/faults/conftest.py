"""What several of these tests stand on."""

from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer


@pytest.fixture
def aiohttp_server_of():
    """Serve an object with `create` and `look` as the service's song endpoints; gives the address."""

    @asynccontextmanager
    async def serving(service):
        app = web.Application()
        app.router.add_post("/api/v1/sonic/create", service.create)
        app.router.add_get("/api/v1/sonic/task/{task_id}", service.look)
        async with TestServer(app) as server:
            yield str(server.make_url("")).rstrip("/")

    return serving
