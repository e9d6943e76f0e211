"""Arguments of the wrong kind are refused where they are given, with what is wanted and what was given."""

import functools

import pytest

from aimusic_async import (
    ConfigurationError,
    InvalidRequest,
    JobChanged,
    MusicError,
    MusicSession,
    Settings,
    SqliteJournal,
    TokenBucket,
    sonic,
)

KEY = "sk-verysecret"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("http", "http://user:verysecret@proxy:3128"),
        ("limiter", 3),
        ("limiter", TokenBucket),
        ("limiter", object()),
        ("poll_limiter", "1/3"),
        ("journal", b"jobs.db"),
        ("journal", SqliteJournal),
        ("journal", "a\0b"),
        ("journal", ""),
        ("journal", ":memory:"),
        ("journal", "file:jobs.db?mode=memory"),
        ("journal", 5),
        ("webhook", "https://example.org/music?token=verysecret"),
        ("settings", {"api_key": KEY}),
        ("account", 5),
        ("account", "me@home"),
        ("budget", "100"),
        ("budget", -1),
        ("poll_interval", "15"),
    ],
)
async def test_a_session_refuses_what_it_cannot_use(name, value, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rest = {} if name == "settings" else {"api_key": KEY, "base_url": "http://127.0.0.1:9"}
    with pytest.raises(ConfigurationError, match=name) as caught:
        MusicSession(**rest, **{name: value})
    assert "verysecret" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
async def music():
    async with MusicSession(settings=Settings(api_key="k", base_url="http://127.0.0.1:9")) as session:
        yield session


def song():
    return sonic.CreateMusic(prompt="x", mv="sonic-v5")


@pytest.mark.parametrize(
    "refused",
    [
        lambda music: music.submit("a song"),
        lambda music: music.submit(song(), key=5),
        lambda music: music.submit(song(), key=""),
        lambda music: music.submit(song(), key=b"a"),
        lambda music: music.submit(song(), priority="high"),
        lambda music: music.submit(song(), priority=True),
        lambda music: music.submit(song(), priority=1.5),
        lambda music: music.submit(song(), timeout="600"),
        lambda music: music.submit(song(), timeout=0),
        lambda music: music.submit(song(), resend_unknown="no"),
        lambda music: music.submit(song(), resend_failed=1),
        lambda music: music.attach("sonic.create_music", "t-1"),
        lambda music: music.attach(sonic.CreateMusic, 5),
        lambda music: music.attach(sonic.CreateMusic, "t-1", key=5),
        lambda music: music.group(5),
        lambda music: music.group(None),
        lambda music: music.group(timeout="600"),
        lambda music: music.group(on_failure="ignore"),
        lambda music: music.group(on_failure=[]),
        lambda music: music.group(budget="100"),
        lambda music: music.group(history="no"),
    ],
)
async def test_jobs_and_groups_refuse_what_they_cannot_use(music, refused):
    with pytest.raises((ConfigurationError, InvalidRequest), match="must"):
        refused(music)
    assert music._dispatcher.open_jobs() == ()


@pytest.mark.parametrize("options", [{"key": 5}, {"priority": "high"}, {"timeout": "600"}, {"resend_failed": "no"}])
async def test_a_group_refuses_them_before_it_has_the_job(music, options):
    async with music.group() as group:
        with pytest.raises((ConfigurationError, InvalidRequest), match="must"):
            group.submit(song(), **options)
        assert group.jobs == ()


async def test_resume_refuses_a_group_that_is_no_name(tmp_path):
    settings = Settings(api_key="k", base_url="http://127.0.0.1:9")
    async with MusicSession(settings=settings, journal=tmp_path / "jobs.db") as music:
        with pytest.raises(InvalidRequest, match="group must"):
            await music.resume(5)


class Called:
    async def __call__(self, event): ...


async def listener(event): ...


@pytest.mark.parametrize("wrong", [listener, functools.partial(listener), Called(), 5, None])
async def test_a_listener_is_a_plain_function(music, wrong):
    with pytest.raises(ConfigurationError, match="listener must be"):
        music.events.listen(wrong)


async def test_a_listener_wants_classes_of_events(music):
    with pytest.raises(ConfigurationError, match="classes of events"):
        music.events.listen(print, "JobChanged")


async def test_a_function_that_returns_a_coroutine_is_reported_and_leaves_nothing_unawaited(music, caplog):
    music.events.listen(lambda event: listener(event), JobChanged)  # noqa: PLW0108 - hides that it is async
    music.submit(song())
    assert "a listener failed on JobChanged" in caplog.text
    assert "let it start a task" in caplog.text


async def test_a_progress_function_is_a_plain_one(music, tmp_path):
    async def progress(_): ...

    with pytest.raises(ConfigurationError, match="progress must be a plain function"):
        await music.download([], tmp_path, progress=progress)


async def test_a_session_that_is_closed_says_so():
    music = MusicSession(settings=Settings(api_key="k", base_url="http://127.0.0.1:9"))
    with pytest.raises(MusicError, match="is not open"):
        music.submit(song())
    with pytest.raises(MusicError, match="is not open"):
        await music.group().__aenter__()
