"""What Sonic refuses, with which words: a table of bodies and answers. Nothing that is refused costs anything.

The table is of the service's first pages; what changed since is in `test_sandbox_switches.py`.
"""

import pytest

pytestmark = pytest.mark.looptime

MODELS = "'sonic-v3-5', 'sonic-v4', 'sonic-v4-5', 'sonic-v4-5-plus', or 'sonic-v5'"
BAD_MODEL = f"The 'mv' field is invalid. The model should be {MODELS}."
GOOD = {"custom_mode": True, "mv": "sonic-v5", "prompt": "la la"}
TOLD = {"custom_mode": False, "mv": "sonic-v5", "gpt_description_prompt": "about rain"}
OLD = {**GOOD, "mv": "sonic-v4"}
REPLACE = {
    "clip_id": "c",
    "mv": "sonic-v5",
    "infill_start_s": 1,
    "infill_end_s": 2,
    "infill_lyrics": "x",
    "prompt": "y",
}
SAMPLE = {**GOOD, "sample_clip_id": "c", "chop_sample_start_s": 1, "chop_sample_end_s": 2}
VOCALS = {"task_type": "add_vocals", "continue_clip_id": "c", "mv": "sonic-v5", "prompt": "la"}
WEIGHT = "The '{}' field should be a number between 0 and 1."
WEBHOOK = "The '{}' field should be an https URL of at most 1024 characters."
LONG_URL = "https://example.com/" + "x" * 1004
CREATE, LYRICS, PERSONA, SAMPLES = "/sonic/create", "/sonic/lyrics", "/sonic/persona", "/sonic/sample"
REPLACES, VOX, UPLOAD, VOICE = "/sonic/replace-section", "/sonic/vox", "/sonic/upload", "/sonic/create-voice"


def without(body, *names):
    return {name: value for name, value in body.items() if name not in names}


REFUSED = [
    (CREATE, {**GOOD, "mv": "sonic-v9"}, BAD_MODEL),
    (CREATE, {**GOOD, "mv": "sonic-v4-5-all"}, BAD_MODEL),
    (CREATE, {**GOOD, "mv": "chirp-v9"}, BAD_MODEL),
    (CREATE, {**GOOD, "mv": None}, BAD_MODEL),
    (CREATE, without(GOOD, "mv"), BAD_MODEL),
    (CREATE, {**GOOD, "custom_mode": "true"}, "The 'custom_mode' field should be boolean."),
    (CREATE, {**GOOD, "custom_mode": 1}, "The 'custom_mode' field should be boolean."),
    (CREATE, without(GOOD, "custom_mode"), "The 'custom_mode' field should be boolean."),
    (CREATE, {**GOOD, "make_instrumental": "false"}, "The 'make_instrumental' field should be boolean."),
    (CREATE, {**GOOD, "use_suno_cdn": "false"}, "The 'use_suno_cdn' field should be boolean."),
    (CREATE, {**GOOD, "auto_lyrics": 1}, "The 'auto_lyrics' field should be boolean."),
    (CREATE, {**TOLD, "auto_lyrics": True}, "The 'auto_lyrics' field is only allowed when custom_mode = true."),
    (CREATE, without(GOOD, "prompt"), "The 'prompt' field is required."),
    (CREATE, {**GOOD, "prompt": ""}, "The 'prompt' field is required."),
    (CREATE, {**GOOD, "prompt": ["la"]}, "The 'prompt' field should be a string."),
    (CREATE, {**GOOD, "prompt": "x" * 5001}, "The prompt character length should be less than 5000."),
    (CREATE, {**OLD, "prompt": "x" * 3001}, "The prompt character length should be less than 3000."),
    (
        CREATE,
        {**OLD, "mv": "chirp-v3-5", "prompt": "x" * 3001},
        "The prompt character length should be less than 3000.",
    ),
    (CREATE, without(TOLD, "gpt_description_prompt"), "The 'gpt_description_prompt' field is required."),
    (
        CREATE,
        {**TOLD, "gpt_description_prompt": "x" * 401},
        "The 'gpt_description_prompt' character length should be less than 200.",
    ),
    (CREATE, {**GOOD, "title": "x" * 81}, "The title character length should be less than 80."),
    (CREATE, {**GOOD, "tags": "x" * 1001}, "The tags character length should be less than 1000."),
    (CREATE, {**OLD, "tags": "x" * 201}, "The tags character length should be less than 200."),
    (CREATE, {**GOOD, "tags": ["pop", "folk"]}, "The 'tags' field should be a string."),
    (CREATE, {**GOOD, "negative_tags": ["pop"]}, "The 'negative_tags' field should be a string."),
    (CREATE, {**GOOD, "vocal_gender": "x"}, "The 'vocal_gender' field is invalid. It should be 'f' or 'm'."),
    (
        CREATE,
        {**OLD, "vocal_gender": "f"},
        "The 'vocal_gender' field is only supported by 'sonic-v4-5' and newer models.",
    ),
    (CREATE, {**GOOD, "style_weight": 1.01}, WEIGHT.format("style_weight")),
    (CREATE, {**GOOD, "weirdness_constraint": -0.01}, WEIGHT.format("weirdness_constraint")),
    (CREATE, {**GOOD, "audio_weight": "0.5"}, WEIGHT.format("audio_weight")),
    (CREATE, {**GOOD, "audio_weight": True}, WEIGHT.format("audio_weight")),
    (CREATE, {**GOOD, "duration": 9}, "The 'duration' field should be an integer between 10 and 360."),
    (CREATE, {**GOOD, "duration": 30.5}, "The 'duration' field should be an integer between 10 and 360."),
    (CREATE, {**GOOD, "webhook_url": "http://example.com/"}, WEBHOOK.format("webhook_url")),
    (CREATE, {**GOOD, "webhook_url": "http://127.0.0.1/"}, WEBHOOK.format("webhook_url")),
    (CREATE, {**GOOD, "webhook_url": LONG_URL + "x"}, WEBHOOK.format("webhook_url")),
    (CREATE, {**GOOD, "webhook_secret": 5}, "The 'webhook_secret' field should be a string."),
    (
        CREATE,
        {**GOOD, "task_type": "persona_music"},
        "The 'persona_id' field is required when task_type = persona_music.",
    ),
    (
        CREATE,
        {**GOOD, "task_type": "cover_music", "continue_clip_id": "c", "duration": 30},
        "The 'duration' field is only allowed when task_type = create_music.",
    ),
    (CREATE, {**GOOD, "task_type": "extend_music", "continue_at": 5}, "The 'continue_clip_id' field is required."),
    (CREATE, {**GOOD, "task_type": "extend_music", "continue_clip_id": "c"}, "The 'continue_at' field is required."),
    (
        CREATE,
        {"task_type": "concat_music", "continue_clip_id": "c", "duration": 30},
        "The 'duration' field is not allowed here.",
    ),
    (CREATE, {"task_type": "concat_music"}, "The 'continue_clip_id' field is required."),
    (CREATE, {"task_type": "remaster", "continue_clip_id": "c"}, BAD_MODEL),
    (
        CREATE,
        {"task_type": "remaster", "continue_clip_id": "c", "mv": "sonic-v5", "variation_category": "wild"},
        "The 'variation_category' field is invalid. It should be 'subtle', 'normal', or 'high'.",
    ),
    (
        CREATE,
        {"task_type": "remaster", "continue_clip_id": "c", "mv": "sonic-v4", "variation_category": "high"},
        "The 'variation_category' field is only supported by 'sonic-v5' and newer models.",
    ),
    (CREATE, without(VOCALS, "prompt"), "The 'prompt' field is required."),
    (
        CREATE,
        {**VOCALS, "mv": "sonic-v4-5"},
        "The 'mv' field is invalid. The model should be 'sonic-v4-5-plus' or 'sonic-v5'.",
    ),
    (
        CREATE,
        {**VOCALS, "overpainting_start_s": 9, "overpainting_end_s": 9},
        "The 'overpainting_end_s' field should be greater than 'overpainting_start_s'.",
    ),
    (
        CREATE,
        {**VOCALS, "overpainting_start_s": -1},
        "The 'overpainting_start_s' field should be a number not less than 0.",
    ),
    (PERSONA, {"clip_id": "c"}, "name and clip_id are required fields."),
    (PERSONA, {"name": "n"}, "name and clip_id are required fields."),
    (PERSONA, {"name": "x" * 80, "clip_id": "c"}, "The name character length should be less than 80."),
    (SAMPLES, without(SAMPLE, "chop_sample_end_s"), "The 'chop_sample_end_s' field is required."),
    (
        SAMPLES,
        {**SAMPLE, "chop_sample_end_s": 1},
        "The 'chop_sample_end_s' field should be greater than 'chop_sample_start_s'.",
    ),
    (SAMPLES, without(SAMPLE, "sample_clip_id"), "Exactly one of 'url' and 'sample_clip_id' is required."),
    (REPLACES, without(REPLACE, "clip_id"), "The 'clip_id' field is required."),
    (REPLACES, without(REPLACE, "infill_lyrics"), "The 'infill_lyrics' field is required."),
    (REPLACES, without(REPLACE, "prompt"), "The 'prompt' field is required."),
    (REPLACES, {**REPLACE, "infill_start_s": -1}, "The 'infill_start_s' field should be a number not less than 0."),
    (REPLACES, {**REPLACE, "infill_end_s": 1}, "The 'infill_end_s' field should be greater than 'infill_start_s'."),
    (REPLACES, {**REPLACE, "auto_concat": "yes"}, "The 'auto_concat' field should be boolean."),
    ("/sonic/upload-extend", {**GOOD, "continue_at": 1}, "The 'url' field is required."),
    ("/sonic/upload-extend", {**GOOD, "url": "http://127.0.0.1:1/x"}, "The 'continue_at' field is required."),
    ("/sonic/upload-cover", GOOD, "The 'url' field is required."),
    ("/sonic/bpm", {}, "The 'clip_id' field is required."),
    ("/sonic/wav", {"clip_id": 5}, "The 'clip_id' field should be a string."),
    ("/sonic/stems/full", {"clip_id": ""}, "The 'clip_id' field is required."),
    ("/sonic/upsample-tags", {"tags": ["pop"]}, "The 'tags' field should be a string."),
    (UPLOAD, {"url": "http://127.0.0.1:1/x", "callback_url": "ftp://x"}, WEBHOOK.format("callback_url")),
    (VOICE, {}, "The 'audio_url' field is required."),
    (VOX, {"clip_id": "c", "vocal_start_s": "1"}, "The 'vocal_start_s' field should be a number not less than 0."),
    (LYRICS, {}, "description is required."),
    (LYRICS, {"description": ""}, "description is required."),
    (LYRICS, {"description": "x" * 201}, "The description character length should be less than 200."),
    (CREATE, ["not", "an", "object"], "The request body should be a JSON object."),
]


async def test_every_wrong_body_is_refused_with_its_own_words_and_costs_nothing(opened):
    async with opened(era="seed") as caller:
        for path, body, text in REFUSED:
            assert await caller.refused(path, body) == (400, "validation_error", text), (path, body)
        status, kind, text = await caller.refused(CREATE, {**GOOD, "task_type": "sing"})
        assert (status, kind) == (400, "validation_error")
        assert "'task_type'" in text
        assert "'add_instrumental'" in text
        assert caller.box.books.taken() == []
        assert caller.box.books.balance == 10_500


ACCEPTED = [
    {**GOOD, "prompt": "x" * 5000, "tags": "x" * 1000, "title": "x" * 80},
    {**OLD, "prompt": "x" * 3000, "tags": "x" * 200},
    {**TOLD, "gpt_description_prompt": "x" * 400},
    {**GOOD, "style_weight": 0, "weirdness_constraint": 1, "audio_weight": 1.0},
    {**GOOD, "mv": "chirp-v4-5", "vocal_gender": "m"},
    {**without(GOOD, "prompt"), "make_instrumental": True},
    {**GOOD, "webhook_url": LONG_URL, "webhook_secret": "s3cret"},
    {**GOOD, "a_field_that_nobody_knows": None},
    {**GOOD, "title": "", "use_suno_cdn": False, "duration": 10},
]


async def test_limits_are_inclusive_and_unknown_fields_are_ignored(opened):
    async with opened() as caller:
        for body in ACCEPTED:
            await caller.done(CREATE, body)
        assert len(caller.box.books.taken("sonic.create_music")) == len(ACCEPTED)


async def test_models_that_came_later_can_be_let_in(opened):
    models = ("sonic-v4-5-plus", "sonic-v5", "sonic-v5-5")
    async with opened(sonic_models=models) as caller:
        await caller.done(CREATE, {**GOOD, "mv": "sonic-v5-5", "prompt": "x" * 5000, "vocal_gender": "f"})
        text = "The 'mv' field is invalid. The model should be 'sonic-v4-5-plus', 'sonic-v5', or 'sonic-v5-5'."
        assert (await caller.refused(CREATE, {**GOOD, "mv": "sonic-v4"}))[2] == text


async def test_the_other_lyrics_limit_has_its_text_too(opened):
    async with opened(lyrics_description_max=120) as caller:
        text = "The description character length should be less than 120."
        assert (await caller.refused(LYRICS, {"description": "x" * 121}))[2] == text


async def test_plain_webhooks_are_taken_to_this_machine_only_and_only_on_demand(opened):
    async with opened(http_webhooks=True) as caller:
        await caller.done(CREATE, {**GOOD, "webhook_url": "http://127.0.0.1:8000/hook"})
        assert (await caller.refused(CREATE, {**GOOD, "webhook_url": "http://example.com/"}))[0] == 400


CONTENT = [
    ({**GOOD, "prompt": "[[ la"}, "The lyrics format is invalid. Please check and try again."),
    (
        {**GOOD, "prompt": "hear the Neon Parish Bells ring"},
        "The lyrics contain copyrighted content: 'Neon Parish Bells'. Please use original lyrics.",
    ),
    ({**GOOD, "prompt": "you frobscene"}, "The lyrics contain inappropriate content: 'frobscene'."),
    ({**TOLD, "gpt_description_prompt": "needs-moderation"}, "The song description needs moderation review."),
    (
        {**TOLD, "gpt_description_prompt": "a song like Vela Marrow"},
        "The song description contains artist names: 'Vela Marrow' which is not allowed.",
    ),
    (
        {**TOLD, "gpt_description_prompt": "kilo nine on the beat"},
        "The song description contains producer tags: 'kilo nine on the beat' which is not allowed.",
    ),
    (
        {**GOOD, "auto_lyrics": True, "prompt": "a song like Vela Marrow"},
        "The song description contains artist names: 'Vela Marrow' which is not allowed.",
    ),
]


async def test_content_that_moderation_refuses_is_403_with_the_words_it_objects_to(opened):
    async with opened() as caller:
        for body, text in CONTENT:
            assert await caller.refused(CREATE, body) == (403, "forbidden", text)
        assert caller.box.books.charged == 0


async def test_a_field_that_is_not_looked_at_is_not_moderated(opened):
    async with opened() as caller:
        await caller.done(CREATE, {**TOLD, "prompt": "frobscene"})
        await caller.done(CREATE, {**GOOD, "gpt_description_prompt": "Vela Marrow"})
