"""Where the key comes from: the order, files that others could read, and that it is shown nowhere."""

import os

import pytest

from aimusic_async.cli.config import config_key_file, find_key, keep_key, places, read_key
from aimusic_async.errors import ConfigurationError

from .conftest import rows, run

posix = pytest.mark.skipif(os.name != "posix", reason="Windows has other rights")


@pytest.fixture
def key_file(tmp_path):
    path = tmp_path / "key.txt"
    path.write_text("from-a-file\n")
    path.chmod(0o600)
    return path


def test_the_environment_goes_before_a_named_file_and_that_before_the_kept_one(key_file):
    keep_key("kept", config_key_file())
    environ = {"AIMUSIC_API_KEY": "from-the-environment"}
    assert find_key(key_file, environ).key == "from-the-environment"
    assert find_key(key_file, {}).key == "from-a-file"
    assert find_key(None, {}).key == "kept"
    assert find_key(None, {"AIMUSIC_API_KEY": ""}).name == "config_file"
    assert [place.name for place in places(key_file, {})] == ["environment", "key_file", "config_file"]


def test_that_the_environment_took_precedence_over_a_named_file_is_reported(service, key_file):
    done = run("credits", "--key-file", key_file)
    assert done.exit_code == 0
    assert "warning: AIMUSIC_API_KEY is set and takes precedence over --key-file" in done.stderr


def test_a_named_file_is_used(service, key_file, monkeypatch):
    monkeypatch.delenv("AIMUSIC_API_KEY")
    key_file.write_text(service.key)
    done = run("credits", "--key-file", key_file)
    assert (done.exit_code, done.stderr.count("warning")) == (0, 0)


@posix
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644])
def test_a_file_that_others_can_read_or_write_is_refused(key_file, mode, service, monkeypatch):
    key_file.chmod(mode)
    with pytest.raises(ConfigurationError, match=r"other users can access .*: run `chmod 600 "):
        read_key(key_file)
    monkeypatch.delenv("AIMUSIC_API_KEY")
    done = run("credits", "--key-file", key_file)
    assert done.exit_code == 2
    assert len(done.stderr.splitlines()) == 1


@posix
def test_a_kept_file_that_others_can_read_is_refused_and_shown_as_such():
    keep_key("kept", config_key_file())
    config_key_file().chmod(0o644)
    done = run("config", "--json")
    assert done.exit_code == 2
    assert rows(done.stdout)[0]["places"][-1]["state"] == "refused"
    assert "chmod 600" in done.stderr


@pytest.mark.parametrize("content", [b"", b"\n \n", b"x" * 5000])
def test_a_file_without_a_key_says_so(key_file, content):
    key_file.write_bytes(content)
    with pytest.raises(ConfigurationError, match="holds no key"):
        read_key(key_file)


def test_a_named_file_must_be_there_the_kept_one_need_not(tmp_path):
    with pytest.raises(ConfigurationError, match="there is no key file"):
        find_key(tmp_path / "nowhere", {})
    with pytest.raises(ConfigurationError, match="no API key: set AIMUSIC_API_KEY"):
        find_key(None, {})
    with pytest.raises(ConfigurationError, match="cannot read the key file"):
        find_key(tmp_path, {})


def test_a_key_out_of_a_pipe_is_kept_and_replaced(home):
    for key in ("first", "second"):
        done = run("config", "set-key", stdin=f"{key}\n")
        assert done.exit_code == 0
        assert key not in done.output
    assert config_key_file().read_text() == "second\n"
    assert config_key_file().is_relative_to(home)
    assert [path.name for path in config_key_file().parent.iterdir()] == ["key"]


@pytest.mark.parametrize("words", ["", "\n", "two words\n", "ключ\n"])
def test_what_is_no_key_is_not_kept(words):
    done = run("config", "set-key", stdin=words)
    assert done.exit_code == 2
    assert len(done.stderr.splitlines()) == 1
    assert not config_key_file().exists()


def test_a_kept_key_that_will_not_be_used_is_reported(monkeypatch):
    monkeypatch.setenv("AIMUSIC_API_KEY", "other")
    assert "AIMUSIC_API_KEY is set, and takes precedence over it" in run("config", "set-key", stdin="mine\n").stderr


def test_config_shows_places_service_and_journal_and_no_key(monkeypatch, key_file):
    monkeypatch.setenv("AIMUSIC_API_KEY", "a-very-secret-key")
    done = run("config", "--key-file", key_file, "--json")
    (shown,) = rows(done.stdout)
    assert shown["key"] == "environment"
    assert [place["state"] for place in shown["places"]] == ["set", "set", "not set"]
    assert [place["used"] for place in shown["places"]] == [True, False, False]
    assert shown["base_url"] == "https://api.aimusicapi.ai"
    assert shown["journal"].endswith("jobs.db")
    shown = run("config", "--key-file", key_file)
    assert not any(key in done.output + shown.output for key in ("a-very-secret-key", "from-a-file"))


def test_without_a_key_config_says_how_to_keep_one():
    done = run("config")
    assert done.exit_code == 0
    assert "`aimusic config set-key` keeps one" in done.stderr


def test_no_command_takes_a_key_as_an_argument():
    for words in (["credits"], ["sonic", "create-music"], ["config"], ["config", "set-key"]):
        assert run(*words, "--api-key", "x").exit_code == 2
    assert run("config", "set-key", "my-key").exit_code == 2
