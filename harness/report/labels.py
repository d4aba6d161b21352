"""Names beside the points of a scatter chart, moved until none covers another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

RADIUS = 8
"""Pixels around a marker that a label keeps clear of."""

Side = Literal["left", "center", "right"]
Edge = Literal["bottom", "center", "top"]
Pair = tuple[float, float]
Try = tuple[Pair, Pair, Side, Edge]
"""A point in data coordinates, an offset in points, and which part of the text goes there."""

AROUND: tuple[tuple[float, float, Side, Edge], ...] = (
    (9, 0, "left", "center"),
    (-9, 0, "right", "center"),
    (7, 7, "left", "bottom"),
    (7, -7, "left", "top"),
    (-7, 7, "right", "bottom"),
    (-7, -7, "right", "top"),
    (0, 10, "center", "bottom"),
    (0, -10, "center", "top"),
)
PLACES = [(reach * dx, reach * dy, side, edge) for reach in (1, 2, 3, 4.5) for dx, dy, side, edge in AROUND]
"""Offsets from a point, the nearest first."""

LEVEL_ENDS: tuple[tuple[bool, float, Side], ...] = ((True, -4, "right"), (False, 4, "left"))
LEVEL_EDGES: tuple[tuple[float, Edge], ...] = ((3, "bottom"), (-3, "top"))


def place(
    figure: Figure,
    axes: Axes,
    marks: Sequence[tuple[str, float, float]],
    lines: Sequence[tuple[float, float, float, float]],
    levels: Sequence[tuple[str, float]],
) -> None:
    """Write each name at the first place where it covers no marker, line or other name.

    Args:
        figure: Laid out here: names are placed in pixels.
        axes: The figure's, with its final limits.
        marks: Name, x and y of each point.
        lines: x and y of both ends of each upright or level line.
        levels: Name and y of each horizontal line, named at its ends.
    """
    figure.draw_without_rendering()
    to_pixels = axes.transData.transform
    points = [to_pixels((x, y)) for _, x, y in marks]
    taken = [Bbox.from_bounds(x - RADIUS, y - RADIUS, 2 * RADIUS, 2 * RADIUS) for x, y in points]
    for x, y, other_x, other_y in lines:
        (left, bottom), (right, top) = to_pixels((x, y)), to_pixels((other_x, other_y))
        taken.append(Bbox.from_extents(left, bottom, right, top).padded(2))
    left, right = axes.get_xlim()
    for name, y in levels:
        tries: list[Try] = [
            ((right if at_end else left, y), (dx, dy), side, edge)
            for at_end, dx, side in LEVEL_ENDS
            for dy, edge in LEVEL_EDGES
        ]
        _settle(axes, name, tries, taken)
    for _, y in levels:
        height = to_pixels((left, y))[1]
        taken.append(Bbox.from_extents(axes.bbox.x0, height - 2, axes.bbox.x1, height + 2))
    for name, x, y in marks:
        tries = [((x, y), (dx, dy), side, edge) for dx, dy, side, edge in PLACES]
        _settle(axes, name, tries, taken)


def _settle(axes: Axes, name: str, tries: Sequence[Try], taken: list[Bbox]) -> None:
    """Write the name at the first try that covers nothing, or at the one that covers least."""
    best: tuple[float, Bbox, Annotation] | None = None
    for place_at in tries:
        note = _note(axes, name, *place_at)
        box = note.get_window_extent().padded(1)
        covered = _covered(box, taken, axes.bbox)
        if best is not None and covered >= best[0]:
            note.remove()
            continue
        if best is not None:
            best[2].remove()
        best = covered, box, note
        if covered == 0:
            break
    if best is not None:
        taken.append(best[1])


def _note(axes: Axes, name: str, at: Pair, offset: Pair, side: Side, edge: Edge) -> Annotation:
    far = abs(offset[0]) + abs(offset[1]) > 16
    line = {"arrowstyle": "-", "color": "#7F7F7F", "linewidth": 0.8, "shrinkB": 5} if far else None
    note = axes.annotate(
        name, at, offset, textcoords="offset points", ha=side, va=edge, fontsize=10, arrowprops=line
    )
    note.set_in_layout(False)
    return note


def _covered(box: Bbox, taken: Sequence[Bbox], frame: Bbox) -> float:
    """Square pixels of `box` over things taken or outside the frame."""
    inside = Bbox.intersection(box, frame)
    lost = box.width * box.height - (inside.width * inside.height if inside else 0.0)
    common = [Bbox.intersection(box, other) for other in taken]
    return float(lost + sum(part.width * part.height for part in common if part))
