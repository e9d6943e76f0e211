"""The way to file hosts: which addresses are asked, what a redirect may do, what is sent along."""

import asyncio
import ipaddress
import socket
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aimusic_async import Settings
from aimusic_async.files.hosts import FileHosts, FileTrouble, any_address, is_public
from aimusic_async.transport.network import Network

NETWORK = Network(Settings(api_key="k"), {})

PRIVATE = [
    "127.0.0.1", "127.1.2.3", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254",
    "100.64.0.1", "192.0.0.1", "198.18.0.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:7f00:1", "::127.0.0.1", "fe80::1", "fe80::1%eth0",
    "fc00::1", "fd12:3456::1", "fec0::1", "ff02::1", "2002:7f00:1::", "2002:c0a8:101::1", "64:ff9b::127.0.0.1",
    "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2001::1", "2001:db8::1", "100::1",
    "2130706433", "0177.0.0.1", "0x7f.1", "127.1", "localhost", "", "1.2.3.4.5",
]  # fmt: skip
PUBLIC = [
    "8.8.8.8",
    "1.1.1.1",
    "172.32.0.1",
    "2606:4700::1111",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
    "2002:808:808::1",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_public_is_known_as_such(address):
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_public(address):
    assert is_public(address)


@given(st.ip_addresses(v=4))
@example(ipaddress.IPv4Address("169.254.169.254"))
def test_an_address_wrapped_in_another_is_what_it_is_without(inner):
    number = int(inner)
    for wrapped in (0xFFFF << 32 | number, 0x0064FF9B << 96 | number, 0x2002 << 112 | number << 80):
        assert is_public(str(ipaddress.IPv6Address(wrapped))) == is_public(str(inner))


class RawHost:
    """A server that sends exactly the bytes it is given, and counts who connects."""

    def __init__(self):
        self.answers = {}
        self.asked = []
        self.connections = 0

    async def serve(self, reader, writer):
        self.connections += 1
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            path = head.split(" ")[1]
            self.asked.append(head)
            answer = self.answers.get(path.partition("?")[0], b"")
            writer.write(answer if isinstance(answer, bytes) else answer.encode())
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@pytest.fixture
async def host():
    raw = RawHost()
    server = await asyncio.start_server(raw.serve, "127.0.0.1", 0)
    raw.port = server.sockets[0].getsockname()[1]
    raw.url = f"http://127.0.0.1:{raw.port}"
    yield raw
    server.close()
    await server.wait_closed()


def ok(body="sound", headers=""):
    return f"HTTP/1.1 200 OK\r\nContent-Type: audio/mpeg\r\nContent-Length: {len(body)}\r\n{headers}\r\n{body}"


def redirect(target, status=302):
    return f"HTTP/1.1 {status} Found\r\nLocation: {target}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


async def get(url, allows=any_address):
    async with (
        FileHosts(allows, NETWORK).connections() as connections,
        connections.ask(url, {}, stall_timeout=5) as response,
    ):
        return await response.read()


def spellings(port):
    """Other ways to write this machine's address; what the system makes of them differs."""
    return [
        f"http://{name}:{port}/a"
        for name in ("127.0.0.1", "localhost", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "0", "0.0.0.0",
                     "[::ffff:127.0.0.1]", "[::1]", "[::ffff:7f00:1]", "127.0.0.1.", "LOCALHOST", "１２７.0.0.1")
    ]  # fmt: skip


async def test_nothing_connects_to_this_machine_however_it_is_spelled(host):
    host.answers["/a"] = ok()
    for url in spellings(host.port):
        with pytest.raises(FileTrouble) as caught:
            await get(url, is_public)
        assert not caught.value.again, url
    assert host.connections == 0


async def test_a_name_that_stands_for_this_machine_is_refused_when_it_is_connected_to(host, monkeypatch):
    async def rebinding(*args, **kwargs):
        answers.append(args)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", host.port))]

    answers = []
    host.answers["/a"] = ok()
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", rebinding)
    url = f"http://cdn.example:{host.port}/a"
    assert await get(url) == b"sound"  # so the name is what leads there
    with pytest.raises(FileTrouble, match=r"cdn\.example is not a public address; nothing was sent there"):
        await get(url, is_public)
    assert len(answers) == 2
    assert host.connections == 1


@pytest.mark.skipif(sys.platform != "linux", reason="only there is all of 127/8 this machine's")
async def test_a_redirect_to_this_machine_is_refused_after_the_first_hop(host):
    outside = RawHost()
    server = await asyncio.start_server(outside.serve, "127.0.0.2", 0)
    url = f"http://127.0.0.2:{server.sockets[0].getsockname()[1]}/a"
    for target in spellings(host.port):
        outside.answers["/a"] = redirect(target.encode("ascii", "ignore").decode())
        with pytest.raises(FileTrouble):
            await get(url, lambda address: address == "127.0.0.2")
    assert outside.connections == len(outside.asked) > 0
    assert host.connections == 0
    server.close()
    await server.wait_closed()


async def test_redirects_are_followed_but_not_for_ever(host):
    host.answers |= {
        "/a": redirect("/b"),
        "/b": redirect(f"{host.url}/c?x=%2F", 308),
        "/c": ok(),
        "/loop": redirect("/loop"),
    }
    assert await get(f"{host.url}/a") == b"sound"
    assert "GET /c?x=%2F HTTP" in host.asked[-1]
    with pytest.raises(FileTrouble, match="more than 5 redirects"):
        await get(f"{host.url}/loop")


@pytest.mark.parametrize(
    "target", ["file:///etc/passwd", "ftp://h/a", "http://[bad", "http://h:99999999/", "data:,x", "gopher://h"]
)
async def test_a_redirect_to_what_is_no_web_address_is_refused(host, target):
    host.answers["/a"] = redirect(target)
    with pytest.raises(FileTrouble, match="the address is invalid"):
        await get(f"{host.url}/a")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://",
        "file:///etc/passwd",
        "http://[bad",
        "http://h.example:99999999/a",
        f"http://{'a' * 70}.example/",
        "http://a..b/",
    ],
)
async def test_an_invalid_address_is_trouble(url):
    with pytest.raises(FileTrouble) as caught:
        await get(url)
    assert not caught.value.again


async def test_https_is_never_left_for_plain_http():
    import yarl

    from aimusic_async.files import hosts

    with pytest.raises(FileTrouble, match="https to plain http"):
        hosts._redirected(yarl.URL("https://h/a"), "http://h/a")
    assert str(hosts._redirected(yarl.URL("http://h/a"), "https://h/b")) == "https://h/b"


async def test_a_signed_address_is_sent_as_it_is(host):
    host.answers["/a"] = ok()
    await get(f"{host.url}/a?sig=a%2Fb%2B~%7E+%3d&x=%C3%A4")
    assert "GET /a?sig=a%2Fb%2B~%7E+%3d&x=%C3%A4 HTTP/1.1" in host.asked[0]


async def test_an_address_cannot_smuggle_headers(host):
    host.answers["/a"] = ok()
    with pytest.raises(FileTrouble):
        await get(f"{host.url}/x HTTP/1.1\r\nX-Evil: 1\r\n\r\n")
    assert not any("\r\nX-Evil" in head for head in host.asked)


async def test_neither_cookies_nor_a_key_nor_a_wish_for_compression_are_sent(host):
    host.answers["/a"] = ok(headers="Set-Cookie: id=1\r\n")
    hosts = FileHosts(any_address, NETWORK)
    async with hosts.connections() as connections:
        for _ in range(2):
            async with connections.ask(f"{host.url}/a", {}, stall_timeout=5) as response:
                await response.read()
    assert len(host.asked) == 2
    for head in host.asked:
        assert "cookie" not in head.lower()
        assert "authorization" not in head.lower()
        assert "Accept-Encoding: identity" in head


@pytest.mark.parametrize(
    ("status", "again", "expired"),
    [
        (403, False, True),
        (404, False, True),
        (410, False, True),
        (400, False, False),
        (429, True, False),
        (503, True, False),
        (304, False, False),
        (302, False, False),
    ],
)
async def test_the_status_tells_what_helps(host, status, again, expired):
    host.answers["/a"] = f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\nRetry-After: 7\r\n\r\n"
    with pytest.raises(FileTrouble, match=f"HTTP {status}") as caught:
        await get(f"{host.url}/a")
    assert (caught.value.again, caught.value.expired, caught.value.wait) == (again, expired, 7.0)


async def test_connections_are_shared_by_those_at_work_and_closed_with_the_last():
    hosts = FileHosts(any_address, NETWORK)
    async with hosts.connections() as one:
        async with hosts.connections() as other:
            assert one.at_once is other.at_once
        assert not one._direct.closed
    assert one._direct.closed
    assert one._proxied.closed
    async with hosts.connections() as later:
        assert not later._direct.closed


async def test_a_host_that_is_not_there_may_be_there_later():
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    with pytest.raises(FileTrouble) as caught:
        await get(f"http://127.0.0.1:{port}/a")
    assert caught.value.again
