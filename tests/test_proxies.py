"""Which proxy a request goes through: what is named goes first, then the environment, and some hosts have none."""

import pytest

from aimusic_async import ConfigurationError, Settings
from aimusic_async.proxies import Proxies, Proxy
from aimusic_async.transport.network import Network

from .transport.test_secrets import exposed

HTTPS = {"HTTPS_PROXY": "http://proxy.example:3128"}


def shown(proxies, scheme="https", host="api.example", port=None):
    proxy = proxies.of(scheme, host, port)
    return None if proxy is None else f"{proxy.source} {proxy.shown}"


@pytest.mark.parametrize(
    ("environ", "scheme", "expected"),
    [
        ({}, "https", None),
        (HTTPS, "https", "HTTPS_PROXY proxy.example:3128"),
        (HTTPS, "http", None),
        ({"https_proxy": "http://small:1", **HTTPS}, "https", "https_proxy small:1"),
        ({"https_proxy": "", **HTTPS}, "https", None),
        ({"HTTP_PROXY": "http://plain:80"}, "http", "HTTP_PROXY plain:80"),
        ({"HTTP_PROXY": "http://plain:80", "REQUEST_METHOD": "GET"}, "http", None),
        ({"ALL_PROXY": "http://all"}, "https", "ALL_PROXY all:80"),
        ({"ALL_PROXY": "http://all", **HTTPS}, "https", "HTTPS_PROXY proxy.example:3128"),
        ({"ALL_PROXY": "socks5://all:1080"}, "https", None),
        ({"HTTPS_PROXY": "bare.example:8080"}, "https", "HTTPS_PROXY bare.example:8080"),
        ({"HTTPS_PROXY": "https://user:hush@secure"}, "https", "HTTPS_PROXY secure:443"),
        ({"HTTPS_PROXY": "http://[::1]:3128/"}, "https", "HTTPS_PROXY [::1]:3128"),
    ],
)
def test_the_environment_names_a_proxy_as_other_programs_read_it(environ, scheme, expected):
    assert shown(Proxies(None, environ), scheme) == expected


@pytest.mark.parametrize(
    ("entries", "host", "port", "reached_directly"),
    [
        ("*", "api.example", None, True),
        ("other.example, api.example", "api.example", None, True),
        ("example", "api.example", None, True),
        (".example", "api.example", None, True),
        ("*.example", "api.example", None, True),
        ("API.Example", "api.example", None, True),
        ("api.example:443", "api.example", None, True),
        ("api.example:8443", "api.example", None, False),
        ("api.example:8443", "api.example", 8443, True),
        ("pi.example", "api.example", None, False),
        ("10.0.0.0/8 other", "10.1.2.3", None, True),
        ("10.0.0.0/8", "11.1.2.3", None, False),
        ("10.0.0.0/8", "api.example", None, False),
        ("fd00::/8", "fd00::1", None, True),
        ("[fd00::1]", "fd00::1", None, True),
        ("", "api.example", None, False),
        (",, .", "api.example", None, False),
    ],
)
def test_no_proxy_names_hosts_that_are_reached_directly(entries, host, port, reached_directly):
    assert (shown(Proxies(None, {**HTTPS, "NO_PROXY": entries}), host=host, port=port) is None) == reached_directly


def test_a_proxy_that_is_named_goes_before_the_environment_and_none_means_none():
    environ = {**HTTPS, "NO_PROXY": "*"}
    assert shown(Proxies("http://mine:1", environ)) == "proxy= mine:1"
    assert shown(Proxies("none", HTTPS)) is None


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "https://localhost", "http://[::1]:1", "https://app.localhost"])
def test_this_machine_is_never_reached_through_a_proxy(url):
    from yarl import URL

    environ = {**HTTPS, "HTTP_PROXY": "http://proxy.example:3128"}
    for named in (None, "http://mine:1"):
        settings = Settings(api_key="k", proxy=named)
        assert Network(settings, environ).proxy(URL(url)) is None


WRONG = [
    "socks5://me:hush@h:1",
    "ftp://me:hush@h",
    "http://me:hush@h:x",
    "http://me:hush@",
    "http://h:1/hush",
    "a\nhush",
]


@pytest.mark.parametrize("text", WRONG)
def test_what_is_no_proxy_is_refused_where_it_is_given_and_not_shown(text):
    for make in (lambda: Settings(api_key="k", proxy=text), lambda: Settings.load(api_key="k", proxy=text, environ={})):
        with pytest.raises(ConfigurationError, match="proxy=") as caught:
            make()
        assert "hush" not in str(caught.value)
    with pytest.raises(ConfigurationError, match="HTTPS_PROXY"):
        Proxies(None, {"HTTPS_PROXY": text}).of("https", "api.example", None)


@pytest.mark.parametrize("value", [3128, b"http://h:1", ["http://h:1"]])
def test_a_proxy_of_the_wrong_type_is_refused(value):
    with pytest.raises(ConfigurationError, match="proxy= must be a string"):
        Settings(api_key="k", proxy=value)


def test_a_socks_proxy_says_what_to_do():
    with pytest.raises(ConfigurationError, match="aiohttp-socks"):
        Settings(api_key="k", proxy="socks5://h:1")


def test_a_password_is_in_no_representation():
    proxy = Proxy.parse("http://me:h%40sh-word@h:1", "proxy=")
    settings = Settings(api_key="k", proxy=proxy.url)
    for one in (proxy, settings, Proxies(proxy.url, {"HTTPS_PROXY": proxy.url}), str(proxy)):
        assert "sh-word" not in repr(one)
    assert {"h%40sh-word", "h@sh-word"} <= set(proxy.secrets)


def test_an_odd_proxy_in_the_environment_shows_its_password_nowhere(monkeypatch):
    from yarl import URL

    network = Network(Settings(api_key="k"), {"HTTPS_PROXY": "http://me:the-webhook-secret-of-the-user@h:x"})
    with pytest.raises(ConfigurationError) as caught:
        network.proxy(URL("https://api.example"))
    assert list(exposed(caught.value)) == []


def test_the_settings_take_proxy_and_certificates_from_the_environment():
    environ = {"AIMUSIC_PROXY": "http://p:1", "AIMUSIC_CA_FILE": "/ca.pem", "AIMUSIC_TRUSTED_NETWORKS": "198.18.0.0/15"}
    settings = Settings.load(api_key="k", environ=environ)
    assert (settings.proxy, settings.ca_file) == ("http://p:1", "/ca.pem")
    assert settings.trusted_networks == ("198.18.0.0/15",)
    assert Settings.load(api_key="k", proxy="none", environ=environ).proxy == "none"


@pytest.mark.parametrize("value", ["198.18.0.1/15", "here", [3], "10.0.0.0/99"])
def test_what_is_no_network_is_refused(value):
    with pytest.raises(ConfigurationError, match="trusted_networks"):
        Settings(api_key="k", trusted_networks=value)
