"""Files through a proxy, with certificates of one's own, and from networks that are trusted though not public."""

import pytest
from aiohttp import web

from aimusic_async import Settings, __version__
from aimusic_async.files.hosts import FileHosts, FileTrouble, allowed, is_public
from aimusic_async.transport.network import Network

from ..transport.ways import certificate, proxying, refused, tls_of

ADDRESS = "http://files.example/a.mp3?signature=hush"


async def get(url, environ, allows=is_public, **settings):
    network = Network(Settings(api_key="k", **settings), environ)
    async with (
        FileHosts(allows, network).connections() as connections,
        connections.ask(url, {}, stall_timeout=5) as response,
    ):
        return await response.read()


@pytest.fixture
async def far():
    """A file host, plain and with TLS, and a proxy to each, which keeps what it was asked."""
    asked = []

    async def serve(request):
        asked.append(request)
        return web.Response(body=b"sound", content_type="audio/mpeg")

    app = web.Application()
    app.router.add_get("/{tail:.*}", serve)
    runner = web.AppRunner(app)
    await runner.setup()
    pem = certificate("files.example")
    plain = web.TCPSite(runner, "127.0.0.1", 0)
    safe = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls_of(pem))
    await plain.start()
    await safe.start()
    ports = [address[1] for address in runner.addresses]
    async with proxying(port=ports[0]) as proxy, proxying(port=ports[1]) as tunnel:
        yield proxy, tunnel, asked, pem
    await runner.cleanup()


async def test_a_file_comes_through_the_proxy_that_the_environment_names(far):
    proxy, _, asked, _ = far
    assert await get(ADDRESS, {"HTTP_PROXY": proxy.url}) == b"sound"
    assert proxy.heads[0].startswith(f"GET {ADDRESS} HTTP/1.1")
    assert asked[0].headers["User-Agent"].startswith(f"aimusic-async/{__version__} (")


async def test_a_file_comes_through_a_tunnel_with_a_certificate_that_the_user_trusts(far, tmp_path):
    _, tunnel, _, pem = far
    ca = tmp_path / "ca.pem"
    ca.write_bytes(pem)
    url = ADDRESS.replace("http:", "https:")
    assert await get(url, {}, proxy=tunnel.url, ca_file=str(ca)) == b"sound"
    assert "hush" not in tunnel.heads[0]
    with pytest.raises(FileTrouble, match="certificate is not trusted") as caught:
        await get(url, {}, proxy=tunnel.url)
    assert not caught.value.again


async def test_a_host_that_no_proxy_names_is_asked_directly_and_its_address_is_checked(far):
    proxy, _, _, _ = far
    with pytest.raises(FileTrouble):
        await get(ADDRESS, {"HTTP_PROXY": proxy.url, "NO_PROXY": "files.example"})
    assert proxy.heads == []


@pytest.mark.parametrize(
    "host", ["10.0.0.1", "169.254.169.254", "[fd00::1]", "2130706433", "0x7f.1", "0177.0.0.1", "10.0.0.1.", "localhost"]
)
async def test_a_proxy_is_not_asked_for_an_address_that_is_not_public(far, host):
    proxy, _, _, _ = far
    with pytest.raises(FileTrouble, match="not a public address"):
        await get(f"http://{host}/a.mp3", {"HTTP_PROXY": proxy.url})
    assert proxy.heads == []


@pytest.mark.parametrize(("refuse", "again"), [("503 Busy", True), ("407 Who are you?", False)])
async def test_a_proxy_that_refuses_is_named_without_its_password(refuse, again):
    async with proxying(refuse=refuse) as proxy:
        url = proxy.url.replace("://", "://me:geheim@")
        with pytest.raises(FileTrouble, match=r"through the proxy .*HTTPS_PROXY.*HTTP") as caught:
            await get(ADDRESS.replace("http:", "https:"), {"HTTPS_PROXY": url})
    assert caught.value.again is again
    assert "geheim" not in str(caught.value)


async def test_a_proxy_that_is_not_there_may_be_there_later():
    async with refused() as nobody:
        with pytest.raises(FileTrouble, match="Connection refused") as caught:
            await get(ADDRESS, {}, proxy=nobody)
    assert caught.value.again


def test_networks_that_are_trusted_are_allowed_beside_the_public_ones():
    allows = allowed(Settings(api_key="k", trusted_networks="198.18.0.0/15, fd00::/8"))
    assert allows("198.18.3.4")
    assert allows("fd00::1")
    assert allows("8.8.8.8")
    assert not any(map(allows, ("10.0.0.1", "127.0.0.1", "2130706433", "localhost")))
    assert not allowed(Settings(api_key="k"))("198.18.3.4")
