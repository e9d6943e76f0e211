"""What the tests of the transport stand on."""

import pytest

from ..faults.wire import Wire, whole
from .ways import in_a_session, refused, serving, to


@pytest.fixture(params=["our pool", "a session of the user's"])
def opened(request):
    """A function that opens a transport, in each of the two ways."""
    return to if request.param == "our pool" else in_a_session


@pytest.fixture
async def wire():
    """A service on the wire, with its address in `.url`."""
    service = Wire()
    async with serving(service.serve) as port:
        service.url = f"http://127.0.0.1:{port}"
        yield service


class Raw:
    """A service that keeps the bytes of each connection, and is content with all of them."""

    def __init__(self):
        self.connections = []
        self.answer = whole(200, b"{}")
        self.closes = False

    async def serve(self, reader, writer):
        self.connections.append(b"")
        mine = len(self.connections) - 1
        while data := await reader.read(100_000):
            self.connections[mine] += data
            if data.endswith((b"}", b"\r\n\r\n")):
                writer.write(self.answer)
                if self.closes:
                    return


@pytest.fixture
async def raw():
    """Such a service, with its address in `.url`."""
    service = Raw()
    async with serving(service.serve) as port:
        service.url = f"http://127.0.0.1:{port}"
        yield service


@pytest.fixture
async def nowhere():
    """An address at which nobody listens."""
    async with refused() as url:
        return url
