"""Requests through a proxy: the named one or the environment's; what it is shown, and what its failure means."""

import os

import aiohttp
import pytest

from aimusic_async import ConfigurationError, NotSent, Settings
from aimusic_async.transport.http import HttpTransport

from ..faults.wire import Wire
from .test_secrets import exposed
from .ways import CREDITS, KEY, SONG, certificate, in_a_session, proxying, refused, serving, tls_of, to

SERVICE = "https://service.example"
PASSWORD = "the-webhook-secret-of-the-user"  # under a name that `exposed` looks for


@pytest.fixture
async def far():
    """A service that only a proxy reaches, with the file of its certificate in `.ca`, and the proxy in `.proxy`."""
    service, pem = Wire(), certificate("service.example")
    async with serving(service.serve, ssl=tls_of(pem)) as port, proxying(port=port) as proxy:
        service.proxy, service.pem = proxy, pem
        yield service


@pytest.fixture
def ca(far, tmp_path):
    path = tmp_path / "ca.pem"
    path.write_bytes(far.pem)
    return str(path)


@pytest.fixture
def environment(monkeypatch):
    return lambda **values: [monkeypatch.setenv(name, value) for name, value in values.items()]


async def test_the_proxy_and_the_certificates_that_are_named_are_used(far, ca):
    async with to(SERVICE, proxy=far.proxy.url, ca_file=ca) as transport:
        assert (await transport.send(SONG)).body == {"task_id": "t1"}
        await transport.send(CREDITS)
    async with aiohttp.ClientSession() as http, to(SERVICE, http, proxy=far.proxy.url, ca_file=ca) as transport:
        assert (await transport.send(SONG)).body == {"task_id": "t1"}
    assert far.seen == ["POST", "GET", "POST"]
    assert {head.split("\r\n")[0] for head in far.proxy.heads} == {"CONNECT service.example:443 HTTP/1.1"}
    assert KEY not in "".join(far.proxy.heads)


async def test_the_environments_proxy_is_used_unless_none_is_wanted(far, ca, environment):
    environment(HTTPS_PROXY=far.proxy.url)
    async with to(SERVICE, ca_file=ca) as transport:
        await transport.send(SONG)
    assert far.seen == ["POST"]
    for more in ({"NO_PROXY": "service.example"}, {"AIMUSIC_PROXY": "none"}):
        environment(**more)
        settings = Settings.load(api_key=KEY, base_url=SERVICE, ca_file=ca)
        async with HttpTransport(settings) as transport:
            with pytest.raises(NotSent, match="cannot be resolved"):
                await transport.send(SONG)
        os.environ.pop("NO_PROXY", None)
    assert far.seen == ["POST"]


async def test_a_session_of_the_users_goes_its_own_way_past_the_environments_proxy(environment):
    async with proxying(refuse="503 No") as proxy:
        environment(HTTPS_PROXY=proxy.url)
        async with in_a_session(SERVICE) as transport:
            with pytest.raises(NotSent, match="name it: proxy=, or in your aiohttp session"):
                await transport.send(SONG)
    assert proxy.heads == []


async def test_a_service_on_this_machine_is_reached_without_the_proxy(wire, opened, environment):
    environment(HTTP_PROXY="http://127.0.0.1:9", ALL_PROXY="http://127.0.0.1:9")
    async with opened(wire.url) as transport:
        await transport.send(SONG)
    assert wire.seen == ["POST"]


async def test_passwords_of_netrc_are_sent_to_nobody(far, ca, environment, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine service.example login me password hush\nmachine 127.0.0.1 login me password hush\n")
    environment(NETRC=str(netrc), HTTPS_PROXY=far.proxy.url)
    async with to(SERVICE, ca_file=ca) as transport:
        await transport.send(SONG)
    assert "authorization" not in far.proxy.heads[0].lower()


async def test_the_proxys_password_goes_to_the_proxy_alone_and_into_no_error(far, ca, environment):
    async with to(SERVICE, proxy=far.proxy.url.replace("://", f"://me:{PASSWORD}@"), ca_file=ca) as transport:
        await transport.send(SONG)
    assert "Proxy-Authorization: Basic " in far.proxy.heads[0]
    async with proxying(refuse=f"407 for me:{PASSWORD}") as strict, refused() as nobody:
        for url in (strict.url, nobody):
            environment(HTTPS_PROXY=url.replace("://", f"://me:{PASSWORD}@"))
            async with to(SERVICE) as transport:
                with pytest.raises(NotSent) as caught:
                    await transport.send(SONG)
            assert list(exposed(caught.value)) == []


@pytest.mark.parametrize(("refuse", "passing"), [("503 Busy", True), ("407 Who are you?", False), ("403 No", True)])
async def test_what_the_proxy_refuses_was_not_sent_and_the_error_names_what_named_the_proxy(
    environment, refuse, passing
):
    async with proxying(refuse=refuse) as proxy:
        environment(HTTPS_PROXY=proxy.url)
        async with to(SERVICE) as transport:
            with pytest.raises(NotSent) as caught:
                await transport.send(SONG)
    assert caught.value.passing is passing
    assert f"through the proxy {proxy.url.removeprefix('http://')} (HTTPS_PROXY): HTTP {refuse}" in str(caught.value)


async def test_a_proxy_that_is_not_there_may_be_there_later():
    async with refused() as nobody, to(SERVICE, proxy=nobody) as transport:
        with pytest.raises(NotSent, match=r"\(proxy=\): the proxy cannot be reached: Connection refused") as caught:
            await transport.send(SONG)
    assert caught.value.passing


async def test_a_proxy_of_the_users_session_that_is_not_there_is_named_as_one():
    async with refused() as nobody, in_a_session(SERVICE, proxy=nobody) as transport:
        with pytest.raises(NotSent, match=r"the proxy cannot be reached: Connection refused$") as caught:
            await transport.send(SONG)
    assert caught.value.passing


async def test_a_connection_that_is_not_made_in_time_is_no_lost_answer():
    class Slow(aiohttp.TCPConnector):
        async def connect(self, *_args, **_more):
            raise TimeoutError

    async with in_a_session(SERVICE, connector=Slow()) as transport:
        with pytest.raises(NotSent, match="no connection was made in time; if a proxy is needed") as caught:
            await transport.send(SONG)
    assert caught.value.passing


async def test_without_a_connection_the_error_names_the_setting_of_a_proxy(environment):
    async with to(SERVICE) as transport:
        with pytest.raises(NotSent, match="if a proxy is needed here, name it: proxy=, AIMUSIC_PROXY or HTTPS_PROXY"):
            await transport.send(SONG)
    environment(ALL_PROXY="socks5://127.0.0.1:9")
    async with to(SERVICE) as transport:
        with pytest.raises(NotSent, match="ALL_PROXY names a SOCKS proxy, which is not used"):
            await transport.send(SONG)


async def test_a_proxy_of_an_odd_kind_in_the_environment_is_refused_as_the_session_opens(environment):
    environment(HTTPS_PROXY="gopher://127.0.0.1:9")
    with pytest.raises(ConfigurationError, match="HTTPS_PROXY names a proxy of the kind gopher"):
        async with to(SERVICE):
            pass


async def test_the_errors_of_a_connector_for_socks_are_the_networks(environment):
    module = type("ProxyError", (Exception,), {"__module__": "python_socks._errors"})

    class Down(aiohttp.TCPConnector):
        async def connect(self, *_args, **_more):
            raise module(words.pop())

    for said, passing in (("Host unreachable", True), ("Username and password authentication failure", False)):
        words = [said]
        async with in_a_session(SERVICE, connector=Down()) as transport:
            with pytest.raises(NotSent) as caught:
                await transport.send(SONG)
        assert caught.value.passing is passing
