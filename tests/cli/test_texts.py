"""Long texts: from the command line, a file or stdin."""

import io
import sys
from types import SimpleNamespace

import pytest

from aimusic_async.cli.texts import Texts
from aimusic_async.errors import ConfigurationError


@pytest.fixture
def stdin(monkeypatch):
    """A function that fills stdin."""
    return lambda content: monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content)))


@pytest.mark.parametrize(("value", "text"), [("la", "la"), ("@@home", "@home"), ("@@@", "@@"), ("--", "--"), ("", "")])
def test_a_text_is_itself_and_two_ats_are_one(value, text):
    assert Texts().read("--prompt", value) == text


def test_stdin_is_read_once(stdin):
    stdin("Ä\r\nB\n\n".encode())
    texts = Texts()
    assert texts.read("--prompt", "-") == "Ä\nB"
    with pytest.raises(ConfigurationError, match="--lyrics and --prompt cannot both be read from stdin"):
        texts.read("--lyrics", "-")


def test_what_is_no_text_or_far_too_long_is_refused(stdin, tmp_path):
    stdin(b"\xff\xfe\x00")
    with pytest.raises(ConfigurationError, match="stdin is not a text in UTF-8"):
        Texts().read("--prompt", "-")
    (tmp_path / "long").write_bytes(b"x" * 1_000_001)
    with pytest.raises(ConfigurationError, match="is longer than any field allows"):
        Texts().read("--prompt", f"@{tmp_path / 'long'}")


def test_a_file_that_cannot_be_read_says_how_to_write_an_at(tmp_path):
    with pytest.raises(ConfigurationError, match=r"cannot read .*nowhere: No such file.* begins with @ write @@"):
        Texts().read("--prompt", f"@{tmp_path / 'nowhere'}")
    with pytest.raises(ConfigurationError, match="cannot read") as caught:
        Texts().read("--prompt", f"@{tmp_path}")
    assert "write @@" not in str(caught.value)
