"""The page in a real browser, from disk: it plays, seeks, mutes and sings along, and nothing leaves the folder."""

import itertools
import math
import shutil
from pathlib import Path

import lameenc
import numpy as np
import pytest
import pytest_asyncio

from aimusic_async import AlignedWord, JobChanged, JobState, MusicSession, Purpose, RequestSent, sonic
from aimusic_async.page import History, Stem, Track, tracks_of, write_page

from .test_page import HOSTILE, everything

playwright = pytest.importorskip("playwright.async_api", reason="drives the browser: pip install playwright")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium"),
    pytest.mark.asyncio(loop_scope="module"),
]
SECONDS = 20
WORDS = ["[Verse]\nUp ", "we ", "go\n", "Round ", "and ", "round\n\n", "[Chorus]\nDown ", "again"]
expect = playwright.expect


def mp3(path, pitch):
    """A tone as an MP3."""
    encoder = lameenc.Encoder()
    encoder.set_in_sample_rate(22050)
    encoder.set_channels(1)
    encoder.set_bit_rate(48)
    encoder.silence()
    samples = 8000 * np.sin(np.arange(SECONDS * 22050) * (pitch * math.tau / 22050))
    path.write_bytes(bytes(encoder.encode(samples.astype(np.int16).tobytes()) + encoder.flush()))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two songs, one with stems and words, and a failed one."""
    folder = tmp_path_factory.mktemp("out") / "a folder, 100% #1"
    folder.mkdir()
    words = [AlignedWord(word=text, start_s=0.4 + 0.5 * at, end_s=0.8 + 0.5 * at) for at, text in enumerate(WORDS)]
    first = Track(
        key="a",
        title="First",
        audio=mp3(folder / "first #1.mp3", 330),
        words=words,
        stems=[Stem(name, mp3(folder / f"{name}.mp3", 220 + 40 * len(name))) for name in ("Vocals", "Bass", "Drums")],
    )
    second = Track(key="b", title="Second", audio=mp3(folder / "second.mp3", 440), duration=float(SECONDS))
    history = History()
    write_page(folder, [first, second, Track(key="c", title="Third", failed="no luck")], history)
    return folder


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser():
    """Chromium without a window."""
    async with playwright.async_playwright() as driver:
        opened = await driver.chromium.launch(executable_path=CHROMIUM)
        yield opened
        await opened.close()


@pytest_asyncio.fixture(loop_scope="module")
async def visit(browser, folder):
    """Opens a page; when the test is over, nothing may have left the folder, and nothing gone wrong."""
    contexts, asked, wrong = [], [], []

    async def visit(file=folder / "index.html", **options):
        context = await browser.new_context(**options)
        contexts.append(context)
        context.on("request", lambda request: asked.append((file.parent.as_uri(), request)))
        page = await context.new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda message: wrong.append(message.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("dialog", lambda dialog: wrong.append(dialog.message))
        await page.goto(file.as_uri())
        return page

    visit.asked, visit.wrong = asked, wrong
    yield visit
    for context in contexts:
        await context.close()
    assert asked
    assert [request.url for root, request in asked if not request.url.startswith(f"{root}/")] == []
    assert wrong == []


async def state(page, number=1):
    """Whether a track's song plays, is muted, and where it is."""
    return await page.evaluate(
        "n => (({paused, muted, currentTime}) => ({paused, muted, at: currentTime}))"
        "(document.querySelector(`#track-${n} .song`))",
        number,
    )


async def until(page, what, argument=None):
    """Wait until a function of the page says yes."""
    await page.wait_for_function(what, arg=argument, polling=30)


PLAYS = "at => { const song = document.querySelector('.song'); return !song.paused && song.currentTime > at }"
STEMS = """() => {
    const song = document.querySelector(".song");
    return [...document.querySelectorAll(".stem audio")].map((stem) => ({
        heard: !stem.muted && !stem.paused, off: Math.abs(stem.currentTime - song.currentTime),
    }));
}"""
IN_STEP = f"() => ({STEMS})().every((stem) => stem.off < 0.06)"
SEEKS = """() => {
    const song = document.querySelector(".song");
    window.seeks = [];
    song.addEventListener("seeking", () => window.seeks.push(Math.round(song.currentTime * 10) / 10));
}"""


async def in_step(page):
    """See that the stems run with the song, and go on to."""
    await until(page, PLAYS, (await state(page))["at"] + 0.4)  # a jump alone is no proof
    await until(page, IN_STEP)


async def test_a_click_plays_and_space_pauses(visit):
    page = await visit()
    await page.get_by_role("button", name="Play First").click()
    await until(page, PLAYS, 0.3)
    await expect(page.get_by_role("button", name="Pause First")).to_be_visible()
    await page.locator("h1").click()
    await page.keyboard.press("Space")
    there = await state(page)
    assert there["paused"]
    await page.keyboard.press("Space")
    await until(page, PLAYS, there["at"] + 0.2)


async def test_arrows_and_the_bar_seek(visit):
    page = await visit()
    await page.keyboard.press("ArrowRight")
    await page.keyboard.press("ArrowRight")
    await page.keyboard.press("ArrowLeft")
    assert (await state(page))["at"] == 5
    await page.get_by_role("button", name="Play", exact=True).click()
    await until(page, PLAYS, 5.1)
    bar = page.get_by_role("slider", name="Position")
    await bar.fill("12.5")
    await until(page, PLAYS, 12.6)
    await bar.press("Space")
    await bar.fill("9.2")
    await bar.press("ArrowLeft")
    assert (await state(page))["at"] == pytest.approx(4.2)
    await expect(bar).to_have_attribute("aria-valuetext", "0:04 of 0:20")


async def test_one_track_plays_at_a_time_and_the_next_follows_at_the_end(visit):
    page = await visit()
    await page.get_by_role("button", name="Play First").click()
    await until(page, PLAYS, 0.1)
    await page.get_by_role("button", name="Play Second").click()
    await until(page, "() => !document.querySelector('#track-2 .song').paused")
    assert (await state(page, 1))["paused"]
    await page.keyboard.press("Shift+ArrowLeft")
    await until(page, PLAYS, 0.1)
    assert (await state(page, 2))["paused"]
    await page.get_by_role("slider", name="Position").fill(str(SECONDS - 0.3))
    await until(page, "() => document.querySelector('#track-2 .song').currentTime > 0.1")
    await expect(page.locator(".playing")).to_have_text("Second")


async def test_a_muted_stem_is_silent_and_the_others_play_in_step(visit):
    page = await visit()
    await page.get_by_role("button", name="Play First").click()
    await until(page, PLAYS, 0.2)
    mute = page.get_by_role("button", name="Mute Bass")
    await mute.click()
    await expect(mute).to_have_attribute("aria-pressed", "true")
    await in_step(page)
    assert [stem["heard"] for stem in await page.evaluate(STEMS)] == [True, False, True]
    assert (await state(page))["muted"]
    await page.keyboard.press("ArrowRight")
    await until(page, PLAYS, 5)
    await in_step(page)
    await mute.click()
    assert [stem["heard"] for stem in await page.evaluate(STEMS)] == [False, False, False]
    assert not (await state(page))["muted"]


async def test_solo_silences_the_rest_and_takes_a_mute_away(visit):
    page = await visit()
    await page.get_by_role("button", name="Mute Bass").click()
    await page.get_by_role("button", name="Solo Bass").click()
    await expect(page.get_by_role("button", name="Mute Bass")).to_have_attribute("aria-pressed", "false")
    await page.get_by_role("button", name="Play First").click()
    await until(page, PLAYS, 0.2)
    await in_step(page)
    assert [stem["heard"] for stem in await page.evaluate(STEMS)] == [False, True, False]
    await page.get_by_role("button", name="Solo Vocals").click()
    assert [stem["heard"] for stem in await page.evaluate(STEMS)] == [True, True, False]
    await page.keyboard.press("Space")  # on a button it is the button's
    assert [stem["heard"] for stem in await page.evaluate(STEMS)] == [False, True, False]
    await page.get_by_role("button", name="Pause First").click()
    await until(page, "() => [...document.querySelectorAll('audio')].every((one) => one.paused)")


async def test_a_stem_that_fell_behind_comes_back(visit):
    page = await visit()
    await page.get_by_role("button", name="Play First").click()
    await page.get_by_role("button", name="Mute Bass").click()
    await in_step(page)
    aside = (
        "by => { document.querySelector('.stem audio').currentTime = document.querySelector('.song').currentTime + by;"
    )
    for seconds in (3, 0.15):  # it jumps; it hurries
        stems = await page.evaluate(f"{aside} return ({STEMS})() }}", seconds)
        assert stems[0]["off"] > 0.06
        await in_step(page)


async def test_stems_without_their_song_play_together(visit, folder, tmp_path):
    track = Track(
        key="a",
        title="Parts",
        stems=[Stem(name, Path(shutil.copy(folder / f"{name}.mp3", tmp_path))) for name in ("Vocals", "Bass")],
    )
    page = await visit(write_page(tmp_path, [track]))
    await page.get_by_role("button", name="Play Parts").click()
    await until(page, PLAYS, 0.2)
    await in_step(page)
    assert [stem["heard"] for stem in await page.evaluate(STEMS)] == [True, True]
    assert (await state(page))["muted"]


async def test_words_light_up_as_they_are_sung(visit):
    page = await visit()
    await page.get_by_role("button", name="Play First").click()
    await until(page, "() => document.querySelector('.word.now')?.textContent.trim() === 'we'")
    await page.get_by_role("slider", name="Position").fill("3.5")
    await until(page, "() => document.querySelector('.word.now')?.textContent.trim() === 'Down'")
    assert await page.locator(".word.sung").count() == 6
    assert await page.locator(".line.now").inner_text() == "Down again"


async def test_a_click_on_a_word_seeks_and_arrows_go_from_line_to_line(visit):
    page = await visit()
    await page.evaluate(SEEKS)
    await page.get_by_text("round", exact=True).click()
    await until(page, PLAYS, 2.95)
    lyrics = page.get_by_role("group", name="Lyrics in time")
    await page.keyboard.press("Space")
    await lyrics.press("ArrowUp")
    await until(page, "() => window.seeks.length === 2")
    await lyrics.press("ArrowDown")
    await until(page, "() => window.seeks.length === 3")
    assert await page.evaluate("() => window.seeks") == [2.9, 0.4, 1.9]


async def test_hostile_texts_run_nothing_and_do_not_push_the_page_apart(visit, folder, tmp_path, sheet):
    tracks, history = [], History()

    def make(name):
        return Path(shutil.copy(folder / "second.mp3", tmp_path / f"{len(tracks)} {name}"))

    for text in HOSTILE:
        more, _ = everything(make, sheet, text)
        tracks += more
        job = sheet(text, task_id=text, error=ValueError(text))
        history.hear(JobChanged(job, JobState.QUEUED), 0.0)
        history.hear(RequestSent(Purpose.SUBMIT, job), 1.0)
        history.hear(JobChanged(job, JobState.FAILED), 2.0)
    page = await visit(write_page(tmp_path, tracks, history, title=HOSTILE[0]))
    await page.evaluate("() => { for (const one of document.querySelectorAll('details')) one.open = true }")
    await page.locator(".play").first.click()
    await until(page, PLAYS, 0.1)
    await page.mouse.move(300, 300)
    assert await page.evaluate("() => window.pwned") is None
    assert await page.title() == HOSTILE[0]
    assert await page.locator("h2").first.inner_text() == HOSTILE[0]
    assert await page.locator("script").count() == 2
    for width in (1280, 320):
        await page.set_viewport_size({"width": width, "height": 700})
        assert await page.evaluate("() => document.documentElement.scrollWidth") <= width
    assert await page.locator(".track").count() == 2 * len(HOSTILE)


async def test_the_policy_stops_what_an_escape_would_have_let_through(visit, folder):
    text = (folder / "index.html").read_text("utf-8")
    holes = '<script>window.pwned = 1</script><img src="x" onerror="window.pwned = 1"><p style="color: red">x</p>'
    remote = '<img src="https://example.org/a"><iframe src="https://example.org"></iframe>'
    hole = folder / "hole.html"
    hole.write_text(text.replace("<main>", f"<main>{holes}{remote}"), "utf-8")
    page = await visit(hole)
    await until(page, "() => document.documentElement.classList.contains('js')")
    assert await page.evaluate("() => window.pwned") is None
    refused = [seen for seen in visit.wrong if "Content Security Policy" in seen]
    assert len(refused) >= 5
    remote = [one for one in visit.asked if "example.org" in one[1].url]
    assert {request.failure for _, request in remote} <= {"csp"}
    visit.asked[:] = [one for one in visit.asked if one not in remote]
    visit.wrong.clear()


async def test_every_control_has_a_name_and_can_be_reached_by_keyboard(visit):
    page = await visit()
    names = []
    for _ in range(40):
        await page.keyboard.press("Tab")
        names.append(await page.evaluate("() => document.activeElement.className"))
    for name in ("play", "mute", "solo", "words timed", "before", "toggle", "after", "playing", "chart"):
        assert name in names
    seen = await page.locator("body").aria_snapshot()
    for name in ("Play First", "Mute Vocals", "Solo Drums", "Track before", "Track after", "Play Second"):
        assert f'button "{name}"' in seen
    assert 'slider "Position"' in seen
    assert "- button:" not in seen
    assert "- button\n" not in seen
    await page.locator("#play-1").focus()
    await page.keyboard.press("Tab")
    assert await page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle") == "solid"


async def test_texts_stand_out_from_what_is_behind_them(visit):
    page = await visit()
    names = ("ink", "muted", "bad", "accent", "sung", "card", "ground", "now", "soft", "on-accent")
    on_paper = itertools.product(("ink", "muted", "bad", "accent", "sung"), ("card", "ground"))
    pairs = (*on_paper, ("ink", "now"), ("ink", "soft"), ("on-accent", "accent"), ("card", "bad"))
    grounds = set()
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme=scheme)
        colours = await page.evaluate(
            "names => names.map((name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`))",
            names,
        )
        light = {name: luminance(colour.strip()) for name, colour in zip(names, colours, strict=True)}
        grounds.add(light["ground"])
        for text, behind in pairs:
            high, low = sorted((light[text], light[behind]), reverse=True)
            assert (high + 0.05) / (low + 0.05) >= 4.5, (scheme, text, behind)
    assert len(grounds) == 2


def luminance(colour):
    """Relative luminance of `#rgb` or `#rrggbb`, as WCAG defines it."""
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


async def test_without_scripts_every_track_has_a_plain_player(visit):
    page = await visit(java_script_enabled=False)
    await expect(page.locator("#track-1 .song")).to_be_visible()
    await expect(page.locator(".player")).to_be_hidden()
    await expect(page.locator(".play").first).to_be_hidden()


async def test_a_song_of_the_sandbox_can_be_heard(visit, tmp_path):
    async with MusicSession.sandbox(speed=600) as music:
        history = History()
        music.events.listen(history)
        song = await music.run(sonic.CreateMusic(prompt="[Verse]\nHere we go", mv="sonic-v5", title="Real"))
        clip = song.clips[0]
        lines = await music.run(sonic.GetLyricsTimeline(clip_id=clip.clip_id))
        files = await music.download(clip, tmp_path)
    tracks = tracks_of(song, files, timelines={clip.clip_id: lines})
    page = await visit(write_page(tmp_path, tracks, history))
    await page.get_by_text("Here", exact=True).first.click()
    await until(page, PLAYS, lines.alignment[0].start_s + 0.1)
    assert await page.locator(".word").count() >= 3
    await expect(page.locator(".batch")).to_contain_text("2 jobs")
