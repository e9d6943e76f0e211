"""Cover pictures: abstract landscapes painted from the seed, in colours that suit the tags."""

import colorsys
import io
import math
import random
from collections.abc import Callable

try:
    from PIL import Image, ImageChops, ImageDraw, ImageFilter
except ModuleNotFoundError as _missing:
    raise ModuleNotFoundError(
        "cover pictures need Pillow: install `aimusic-async[sandbox]`", name=_missing.name
    ) from _missing

from .score import stream
from .tune import Tune

Colour = tuple[int, int, int]
Picture = Image.Image

_WARM = (0.02, 0.06, 0.1, 0.13, 0.47, 0.53, 0.92)
_COLD = (0.5, 0.57, 0.63, 0.7, 0.77, 0.86, 0.97)
_BIG = 2  # painted so many times larger, then shrunk: smooth edges


def cover(tune: Tune, *, size: int = 512) -> bytes:
    """A square JPEG of so many pixels, another one for each seed."""
    rng = stream(tune.seed, f"cover/{tune.tags}")
    palette = _palette(tune, rng)
    side = size * _BIG
    picture = _sky(side, palette[0], palette[1], angle=rng.choice((0, 0, 0, 180)) + rng.uniform(-25, 25))
    motif: Callable[[Picture, list[Colour], random.Random], Picture] = rng.choice((_hills, _rings, _discs, _bars))
    picture = motif(picture, palette, rng).resize((size, size), Image.Resampling.LANCZOS)
    picture = _finish(picture, rng)
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=88)
    return out.getvalue()


def _palette(tune: Tune, rng: random.Random) -> list[Colour]:
    """Six colours that agree: two for the sky, then from far to near. Minor keys are darker and colder."""
    minor = tune.scale in ("minor", "dorian")
    hue = rng.choice(_COLD if minor else _WARM) + rng.uniform(-0.03, 0.03)
    turn = rng.choice((0.08, -0.1, 0.42, 0.5))
    calm = max(0.0, min(1.0, (tune.bpm - 60) / 90))
    strength = 0.45 + 0.35 * calm
    light = (0.30, 0.62, 0.72, 0.5, 0.32, 0.16) if minor else (0.62, 0.9, 0.97, 0.75, 0.5, 0.3)
    hues = (hue, hue + turn / 2, hue + turn, hue + turn, hue + turn / 3, hue)
    return [_colour(h, strength * rng.uniform(0.8, 1.1), v) for h, v in zip(hues, light, strict=True)]


def _colour(hue: float, strength: float, value: float) -> Colour:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1, min(strength, 1), min(value, 1))
    return round(red * 255), round(green * 255), round(blue * 255)


def _sky(side: int, top: Colour, bottom: Colour, *, angle: float) -> Picture:
    """A wash from one colour to the other."""
    wash = Image.linear_gradient("L").resize((2 * side, 2 * side)).rotate(angle, Image.Resampling.BICUBIC)
    wash = wash.crop((side // 2, side // 2, side // 2 + side, side // 2 + side)).point(lambda value: 2 * value - 128)
    return Image.composite(Image.new("RGB", (side, side), bottom), Image.new("RGB", (side, side), top), wash)


def _glow(picture: Picture, centre: tuple[float, float], radius: float, colour: Colour) -> Picture:
    """A disc of light with a soft edge around it."""
    light = Image.new("L", picture.size, 0)
    x, y = centre
    ImageDraw.Draw(light).ellipse((x - radius, y - radius, x + radius, y + radius), fill=170)
    small = light.resize((128, 128)).filter(ImageFilter.GaussianBlur(128 * radius / picture.width / 2 + 1))
    light = ImageChops.lighter(light, small.resize(picture.size, Image.Resampling.BICUBIC))
    return Image.composite(Image.new("RGB", picture.size, colour), picture, light)


def _hills(picture: Picture, palette: list[Colour], rng: random.Random) -> Picture:
    """A sun over ranges of hills, or over waves."""
    side = picture.width
    sun = (side * rng.uniform(0.25, 0.75), side * rng.uniform(0.25, 0.5))
    picture = _glow(picture, sun, side * rng.uniform(0.09, 0.2), palette[2])
    layers = rng.randint(4, 7)
    sharp = rng.random() < 0.4
    for layer in range(layers):
        depth = layer / (layers - 1)
        base = side * (0.5 + 0.38 * depth)
        colour = _between(palette[3], palette[5], depth)
        waves = [(rng.uniform(0.6, 3.2), rng.uniform(0, math.tau), rng.uniform(0.02, 0.07)) for _ in range(3)]
        points = [(0.0, float(side))]
        for nth in range(161):
            x = nth / 160
            height = sum(deep * _wave(math.tau * often * x + shift, sharp=sharp) for often, shift, deep in waves)
            points.append((x * side, base + side * height))
        points.append((float(side), float(side)))
        ImageDraw.Draw(picture).polygon(points, fill=colour)
    return picture


def _wave(turn: float, *, sharp: bool) -> float:
    return abs((turn / math.pi) % 2 - 1) * 2 - 1 if sharp else math.sin(turn)


def _rings(picture: Picture, palette: list[Colour], rng: random.Random) -> Picture:
    """Rings around a point, each open somewhere, like a record that turns."""
    side = picture.width
    x, y = side * rng.uniform(0.3, 0.7), side * rng.uniform(0.3, 0.7)
    picture = _glow(picture, (x, y), side * rng.uniform(0.06, 0.12), palette[2])
    draw = ImageDraw.Draw(picture)
    radius = side * 0.14
    while radius < side * 0.8:
        width = side * rng.uniform(0.006, 0.035)
        start = rng.uniform(0, 360)
        colour = rng.choice(palette[2:])
        draw.arc(
            (x - radius, y - radius, x + radius, y + radius), start, start + rng.uniform(90, 340), colour, round(width)
        )
        radius += width + side * rng.uniform(0.01, 0.03)
    return picture


def _discs(picture: Picture, palette: list[Colour], rng: random.Random) -> Picture:
    """Large discs that shine through each other."""
    side = picture.width
    for _ in range(rng.randint(7, 13)):
        radius = side * rng.uniform(0.06, 0.3)
        x, y = side * rng.uniform(0.05, 0.95), side * rng.uniform(0.05, 0.95)
        shape = Image.new("L", picture.size, 0)
        ImageDraw.Draw(shape).ellipse((x - radius, y - radius, x + radius, y + radius), fill=rng.randint(90, 190))
        picture = Image.composite(Image.new("RGB", picture.size, rng.choice(palette[1:])), picture, shape)
    return picture


def _bars(picture: Picture, palette: list[Colour], rng: random.Random) -> Picture:
    """Rounded bars that rise and fall like a level meter, mirrored in water."""
    side = picture.width
    picture = _glow(picture, (side * rng.uniform(0.3, 0.7), side * 0.4), side * 0.22, palette[2])
    draw = ImageDraw.Draw(picture)
    number = rng.randint(9, 21)
    width = side / (number * 1.5 + 0.5)
    phase, often = rng.uniform(0, math.tau), rng.uniform(0.7, 2.4)
    line = side * 0.62
    for nth in range(number):
        tall = side * (0.08 + 0.36 * abs(math.sin(phase + often * math.pi * nth / number)) * rng.uniform(0.6, 1.0))
        x = width * (0.5 + 1.5 * nth)
        colour = _between(palette[3], palette[5], nth / number)
        draw.rounded_rectangle((x, line - tall, x + width, line), width / 2.2, fill=colour)
        faint = _between(colour, palette[1], 0.6)
        draw.rounded_rectangle((x, line + width / 3, x + width, line + width / 3 + tall * 0.5), width / 2.2, fill=faint)
    return picture


def _between(one: Colour, other: Colour, share: float) -> Colour:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


def _finish(picture: Picture, rng: random.Random) -> Picture:
    """A little grain, and darker corners."""
    grain = Image.frombytes("L", (128, 128), rng.randbytes(128 * 128)).resize(picture.size, Image.Resampling.BICUBIC)
    picture = Image.blend(picture, ImageChops.overlay(picture, Image.merge("RGB", (grain, grain, grain))), 0.08)
    corners = (
        Image.radial_gradient("L").resize(picture.size).point([max(0, value - 110) * 3 // 5 for value in range(256)])
    )
    return Image.composite(Image.new("RGB", picture.size, (8, 6, 14)), picture, corners)
