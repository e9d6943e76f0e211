"""What every operation costs, in credits: as the introduction page of early 2026 has it, and what changed since."""

from collections.abc import Mapping

PRICES: Mapping[str, int] = {
    "sonic.create_music": 10,
    "sonic.extend_music": 10,
    "sonic.cover_music": 10,
    "sonic.concat_music": 2,
    "sonic.persona_music": 10,
    "sonic.extend_upload_music": 10,
    "sonic.cover_upload_music": 10,
    "sonic.remaster": 10,
    "sonic.add_vocals": 10,
    "sonic.add_instrumental": 10,
    "sonic.upload_extend": 10,
    "sonic.upload_cover": 10,
    "sonic.create_persona": 1,
    "sonic.sample": 10,
    "sonic.mashup": 10,
    "sonic.replace_section": 10,
    "sonic.get_bpm": 1,
    "sonic.get_vox": 1,
    "sonic.get_wav": 1,  # once a clip
    "sonic.download": 2,  # a call, whatever the number of formats
    "sonic.get_midi": 1,  # once a clip
    "sonic.get_lyrics_timeline": 1,  # once a clip
    "sonic.upsample_tags": 1,
    "sonic.stems_basic": 10,
    "sonic.stems_full": 50,
    "sonic.upload_music": 2,
    "sonic.create_voice": 4,
    "lyrics.generate_lyrics": 0,  # a pot of its own, which nobody publishes
    "producer.create_music": 10,
    "producer.extend_music": 10,
    "producer.cover_music": 10,
    "producer.replace_music": 10,
    "producer.swap_music_vocals": 10,
    "producer.swap_music_sound": 10,
    "producer.music_variation": 10,
    "producer.upload": 2,
    "producer.download": 2,
    "riffusion.create_with_lyrics": 12,
    "riffusion.create_with_description": 12,
    "riffusion.cover": 12,
    "riffusion.extend": 12,
    "riffusion.replace_section": 12,
    "riffusion.swap_sound": 12,
    "riffusion.swap_vocals": 12,
    "riffusion.upload": 0,  # unknown
    "nuro.create_vocal": 10,
    "nuro.create_instrumental": 10,
}

TODAY: Mapping[str, int] = {
    **{
        f"sonic.{name}": 14
        for name in (
            "create_music",
            "extend_music",
            "cover_music",
            "persona_music",
            "extend_upload_music",
            "cover_upload_music",
            "upload_extend",
            "upload_cover",
            "remaster",
            "add_vocals",
            "add_instrumental",
            "sample",
            "mashup",
            "replace_section",
        )
    },
    "sonic.get_wav": 2,
    "sonic.stems_basic": 20,
    "producer.create_music": 12,
}
"""What costs something else since September 2026, by several notes."""


def price(operation: str, mv: object, prices: Mapping[str, int]) -> int:
    """What an operation costs: `prices` may say it for one model, as "sonic.create_music sonic-v5", or for all."""
    name = "sonic-" + mv.removeprefix("chirp-") if isinstance(mv, str) and mv.startswith("chirp-") else mv
    for one in (f"{operation} {mv}", f"{operation} {name}", operation):
        if one in prices:
            return prices[one]
    return PRICES[operation]
