"""The operations as methods: each there, each with its class's documentation and checks."""

import inspect

import pytest

from aimusic_async import InvalidRequest, MusicSession, sonic
from aimusic_async.api.operations import operations
from aimusic_async.methods import Method


def methods(music):
    """Every method of a session's platforms, by the operation's name."""
    platforms = {name: getattr(music, name) for name in ("sonic", "lyrics", "producer", "nuro", "riffusion")}
    return {
        f"{name}.{attribute}": getattr(type(platform), attribute)
        for name, platform in platforms.items()
        for attribute, value in vars(type(platform)).items()
        if isinstance(value, Method)
    }


def test_every_operation_is_a_method_of_its_platform_and_nothing_else_is():
    found = methods(MusicSession("key"))
    assert {name: method.request_class for name, method in found.items()} == {
        name: cls for name, cls in operations().items() if not name.startswith("account.")
    }


@pytest.mark.looptime
async def test_a_method_sends_its_request_and_gives_its_result():
    async with MusicSession.sandbox(speed=1) as music:
        song = await music.sonic.create_music(prompt="[Verse]\nla", mv="sonic-v5")
        stems = await music.sonic.stems_basic(clip_id=song.clips[0].clip_id)
        assert sorted(stems.parts) == ["Instrumental", "Vocals"]


async def test_a_wrong_field_raises_when_the_method_is_called_not_when_it_is_awaited():
    async with MusicSession("key") as music:
        with pytest.raises(InvalidRequest, match="title must be at most 80"):
            music.sonic.create_music(prompt="la", mv="sonic-v5", title="t" * 81)
        with pytest.raises(TypeError, match="promt"):
            music.sonic.create_music(promt="la", mv="sonic-v5")


def test_help_tells_what_the_class_tells():
    method = MusicSession("key").sonic.create_music
    assert inspect.getdoc(method) == inspect.getdoc(sonic.CreateMusic)
    assert list(inspect.signature(method).parameters) == list(inspect.signature(sonic.CreateMusic).parameters)
