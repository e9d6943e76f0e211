"""Certificates: an error says what is wrong with one, and the user's own are trusted beside the system's."""

from pathlib import Path

import aiohttp
import pytest

from aimusic_async import ConfigurationError, NotSent, Settings

from .ways import SONG, certificate, to, unknown_certificate


@pytest.fixture
def trusting(tmp_path):
    """A function that writes a certificate into a file to trust."""

    def trust(name="localhost", days=2):
        path = tmp_path / "ca.pem"
        path.write_bytes(certificate(name, days))
        return str(path)

    return trust


async def failure(url, **settings):
    async with to(url, **settings) as transport:
        with pytest.raises(NotSent) as caught:
            await transport.send(SONG)
    assert not caught.value.passing
    return str(caught.value)


async def test_a_certificate_that_nobody_known_signed_is_named_with_the_way_to_trust_it():
    async with unknown_certificate() as url:
        words = await failure(url)
    assert "the certificate is not trusted: self" in words
    assert "ca_file= or AIMUSIC_CA_FILE" in words


async def test_a_certificate_for_another_name_is_named(trusting):
    async with unknown_certificate("elsewhere.example") as url:
        words = await failure(url, ca_file=trusting("elsewhere.example"))
    assert "certificate is not valid for 'localhost'" in words
    assert "ca_file" not in words


async def test_an_expired_certificate_is_named(trusting):
    async with unknown_certificate("localhost", -1) as url:
        assert "certificate has expired" in await failure(url, ca_file=trusting("localhost", -1))


async def test_a_certificate_that_the_user_trusts_is_trusted_in_a_session_of_theirs_too(trusting):
    async with unknown_certificate() as url, to(url, ca_file=trusting()) as transport:
        assert (await transport.send(SONG)).body == {"task_id": "t1"}
        async with aiohttp.ClientSession() as http, to(url, http, ca_file=trusting()) as other:
            assert (await other.send(SONG)).body == {"task_id": "t1"}


@pytest.mark.parametrize(("content", "words"), [(None, "No such file"), (b"hello", "no certificate in PEM form")])
async def test_a_file_without_certificates_is_refused_as_the_session_opens(tmp_path, content, words):
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=words):
        async with to("https://service.example", ca_file=str(path)):
            pass


def test_what_is_no_path_is_refused():
    with pytest.raises(ConfigurationError, match="ca_file"):
        to("https://service.example", ca_file=3)
    assert Settings(api_key="k", ca_file=Path("ca.pem")).ca_file == "ca.pem"
