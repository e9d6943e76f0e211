"""Settings: found where the documentation says, refused when they would hurt."""

import aiohttp
import pytest

from aimusic_async import ConfigurationError, MusicSession, Settings


def load(environ=None, **given):
    return Settings.load(environ=environ or {}, **given)


def test_what_is_given_goes_before_the_environment_and_that_before_the_default():
    environ = {"AIMUSIC_API_KEY": "env-key", "AIMUSIC_BASE_URL": "https://env.example"}
    assert load(api_key="k").base_url == "https://api.aimusicapi.ai"
    assert load(environ) == Settings(api_key="env-key", base_url="https://env.example")
    given = load(environ, api_key="k", base_url="https://given.example")
    assert given == Settings(api_key="k", base_url="https://given.example")


@pytest.mark.parametrize("environ", [{}, {"AIMUSIC_API_KEY": ""}])
def test_without_a_key_it_says_how_to_set_one(environ):
    with pytest.raises(ConfigurationError, match="set the environment variable AIMUSIC_API_KEY"):
        load(environ)


@pytest.mark.parametrize("written", ["https://h.example/", "https://h.example/api/v1", "https://h.example/api/v1/"])
def test_a_base_url_copied_with_its_path_is_understood(written):
    assert load(api_key="k", base_url=written).base_url == "https://h.example"


@pytest.mark.parametrize("host", ["127.0.0.1:8787", "localhost:80", "[::1]:9", "127.9.9.9"])
def test_plain_http_is_for_this_machine(host):
    assert load(api_key="k", base_url=f"http://{host}").base_url == f"http://{host}"


@pytest.mark.parametrize(
    "url",
    ["http://api.aimusicapi.ai", "http://127.0.0.1.evil.example", "http://10.0.0.1", "http://localhost.evil.example"],
)
def test_plain_http_to_anybody_else_is_refused(url):
    with pytest.raises(ConfigurationError, match="plain http"):
        load(api_key="k", base_url=url)


@pytest.mark.parametrize(
    "url",
    ["ftp://h", "h.example", "https://", "https://h.example/other", "https://h:x", "https://h?x=1", "https://h#x"],
)
def test_what_is_no_service_address_is_refused(url):
    with pytest.raises(ConfigurationError, match="base_url"):
        load(api_key="k", base_url=url)


def test_a_password_in_the_address_is_refused_and_not_shown():
    for url in ("ftp://me:hush@h.example", "https://me:hush@h:bad"):
        with pytest.raises(ConfigurationError) as caught:
            load(api_key="k", base_url=url)
        assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["https://h.example ", " https://h", "https://h .x", "https://h\n", "https://h\t", "https://h\r\nX: y"]
)
def test_an_address_with_blanks_or_line_breaks_is_refused(url):
    with pytest.raises(ConfigurationError, match="base_url holds a blank or a line break"):
        load(api_key="k", base_url=url)


@pytest.mark.parametrize("given", ["http://proxy:3128", b"x", 3, object, aiohttp.ClientSession])
def test_http_must_be_a_session_of_aiohttp(given):
    with pytest.raises(ConfigurationError, match=r"http must be an open aiohttp\.ClientSession"):
        MusicSession("k", http=given)
    assert "proxy=" in str(refused_with(http="http://proxy:3128"))


def refused_with(**options):
    with pytest.raises(ConfigurationError) as caught:
        MusicSession("k", **options)
    return caught.value


@pytest.mark.parametrize("option", [{"proxy": "http://h:1"}, {"ca_file": "ca.pem"}])
def test_settings_beside_what_they_hold_are_refused(option):
    with pytest.raises(ConfigurationError, match="give settings, or"):
        MusicSession(settings=load(api_key="k"), **option)


@pytest.mark.parametrize("key", ["two words", "line\nbreak", "naïve", "tab\t"])
def test_a_key_that_was_copied_badly_is_refused_and_not_shown(key):
    with pytest.raises(ConfigurationError) as caught:
        load(api_key=key)
    assert key not in str(caught.value)


def test_the_key_is_not_in_the_repr():
    assert "s3cret" not in repr(Settings(api_key="s3cret"))


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), "15", True])
def test_a_senseless_poll_interval_is_refused(seconds):
    with pytest.raises(ConfigurationError, match="poll_interval"):
        load(api_key="k", poll_interval=seconds)


@pytest.mark.parametrize(("text", "rate"), [("0.5", 0.5), ("1/3", 1 / 3), (" 10 / 1 ", 10.0), ("2e1", 20.0)])
def test_a_rate_in_the_environment_is_a_number_or_a_fraction(text, rate):
    assert load({"AIMUSIC_RATE": text}, api_key="k").rate == rate


def test_the_plan_is_unknown_unless_it_is_named_and_what_is_given_goes_before_the_environment():
    environ = {"AIMUSIC_RATE": "5", "AIMUSIC_CAPACITY": "7"}
    assert (load(api_key="k").rate, load(api_key="k").capacity) == (None, None)
    assert (load(environ, api_key="k").rate, load(environ, api_key="k").capacity) == (5.0, 7)
    given = load(environ, api_key="k", rate=2.0, capacity=3)
    assert (given.rate, given.capacity, given.plan_given()) == (2.0, 3, "rate")
    assert load(environ, api_key="k").plan_given() is None
    assert load(environ, api_key="k", capacity=3).plan_given() == "capacity"
    assert load({"AIMUSIC_RATE": ""}, api_key="k").rate is None


@pytest.mark.parametrize("text", ["fast", "0", "-1", "1/0", "1/", "/3", "nan", "inf", "1/3/3", "1e-320"])
def test_a_senseless_rate_in_the_environment_is_refused_with_what_to_write(text):
    with pytest.raises(ConfigurationError, match=r"^AIMUSIC_RATE must be requests per second .* such as 0.5 or 1/3"):
        load({"AIMUSIC_RATE": text}, api_key="k")


@pytest.mark.parametrize("text", ["many", "0", "-1", "1.5", "\u0663", "9" * 5000])
def test_a_senseless_capacity_in_the_environment_is_refused_with_what_to_write(text):
    with pytest.raises(ConfigurationError, match=r"^AIMUSIC_CAPACITY must be a whole number of requests, 1 or more"):
        load({"AIMUSIC_CAPACITY": text}, api_key="k")


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf"), "15", True, 1e-320])
def test_a_senseless_rate_is_refused(rate):
    with pytest.raises(ConfigurationError, match=r"^rate "):
        load(api_key="k", rate=rate)


@pytest.mark.parametrize("capacity", [0, -1, 0.5, 1.5, "3", True, float("nan")])
def test_a_senseless_capacity_is_refused(capacity):
    with pytest.raises(ConfigurationError, match=r"^capacity "):
        load(api_key="k", capacity=capacity)


@pytest.mark.parametrize(
    "options",
    [
        {"trusted_networks": 5},
        {"poll_interval": 10**400},
        {"ca_file": "a\0b"},
        {"trusted_networks": ["10.0.0.0/8", None]},
    ],
)
async def test_odd_values_are_refused_as_such_and_by_nothing_else(options):
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        async with MusicSession(settings=Settings.load(api_key="k", **options)):
            pass


async def test_an_odd_list_of_hosts_without_a_proxy_is_no_obstacle(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.test:1")
    monkeypatch.setenv("NO_PROXY", "a:\u00b2,[,:,*")
    async with MusicSession("k"):
        pass
