"""Draws the comparison of schedules for the README: three small panels over the number of songs."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator

Row = tuple[int, str, float, float, float]
"""N, way, and the ratios of mean turnaround, makespan and first song."""

PANELS = ("mean turnaround", "last song (makespan)", "first song")
# Okabe and Ito's colours, which all kinds of eyes can distinguish; a shape and a line style besides.
STYLES = (
    ("#0072B2", "o", "-"),
    ("#56B4E9", "v", "-"),
    ("#D55E00", "s", "--"),
    ("#009E73", "^", "-."),
    ("#CC79A7", "D", ":"),
)
TICKS = (0.5, 0.7, 1, 1.5, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100)


def save(path: Path, rows: list[Row], *, limit: str) -> None:
    """Write a PNG; ways appear in the order of `rows`, the first in the foreground, `limit` as a broad band behind."""
    counts = sorted({count for count, *_ in rows})
    ways = [way for way in dict.fromkeys(way for _, way, *_ in rows) if way != limit]
    # A figure of its own needs no window: it draws with Agg.
    figure = Figure(figsize=(9.6, 3.7), dpi=150, facecolor="white", layout="constrained")
    axes = figure.subplots(1, len(PANELS))
    for number, (panel, title) in enumerate(zip(axes, PANELS, strict=True)):
        for place, way in enumerate(ways):
            colour, marker, style = STYLES[place % len(STYLES)]
            panel.plot(
                *_points(rows, way, number),
                color=colour,
                marker=marker,
                linestyle=style,
                linewidth=2.2 if place == 0 else 1.6,
                markersize=5.5,
                label=way,
                zorder=10 - place,
            )
        panel.plot(*_points(rows, limit, number), color="#d0d0d0", linewidth=7, label=limit, zorder=2)
        _dress(panel, title, counts, [row[2:][number] for row in rows])
    axes[0].annotate(
        "the clairvoyant",
        xy=(1, 1),
        xycoords=("axes fraction", "data"),
        xytext=(-3, -4),
        textcoords="offset points",
        ha="right",
        va="top",
        fontsize=9,
        color="#555555",
    )
    axes[0].set_ylabel("ratio to the clairvoyant\n(less is better)", fontsize=10)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=10)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def _points(rows: list[Row], way: str, number: int) -> tuple[list[int], list[float]]:
    points = sorted((row[0], row[2:][number]) for row in rows if row[1] == way)
    return [count for count, _ in points], [ratio for _, ratio in points]


def _dress(panel: Axes, title: str, counts: list[int], values: list[float]) -> None:
    low, high = min(0.95, *values) * 0.95, max(1.5, *values) * 1.06
    panel.set_title(title, fontsize=11)
    panel.set_xscale("log")
    panel.set_xticks(counts, [str(count) for count in counts])
    panel.xaxis.set_minor_locator(NullLocator())
    panel.set_xlabel("songs", fontsize=10)
    if high > 3:
        panel.set_yscale("log")
        panel.set_yticks([tick for tick in TICKS if low <= tick <= high])
        panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        panel.yaxis.set_minor_formatter(NullFormatter())
        panel.yaxis.set_minor_locator(NullLocator())
    panel.set_ylim(low, high)
    panel.axhline(1.0, color="#555555", linewidth=1, zorder=1)
    panel.grid(visible=True, color="#e4e4e4", linewidth=0.8)
    panel.set_axisbelow(True)
    panel.tick_params(labelsize=9.5, length=3)
    panel.spines[["top", "right"]].set_visible(False)
