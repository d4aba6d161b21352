"""Names beside the points of a scatter chart, moved until none covers another."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

RADIUS = 8
"""Pixels around a marker that a label keeps clear of."""

PLACES = [
    (dx * reach, dy * reach, horizontal, vertical)
    for reach in (1, 2, 3, 4.5)
    for dx, dy, horizontal, vertical in (
        (9, 0, "left", "center"),
        (-9, 0, "right", "center"),
        (7, 7, "left", "bottom"),
        (7, -7, "left", "top"),
        (-7, 7, "right", "bottom"),
        (-7, -7, "right", "top"),
        (0, 10, "center", "bottom"),
        (0, -10, "center", "top"),
    )
]
"""Offsets in points and alignments to try, the nearest first."""


def place(
    axes: Axes,
    marks: Sequence[tuple[str, float, float]],
    bars: Sequence[tuple[float, float, float]],
    levels: Sequence[tuple[str, float]],
) -> None:
    """Write each name at the first place where it covers no marker, bar or other name.

    Args:
        axes: Drawn to its final limits: labels are placed in pixels.
        marks: Name, x and y of each point.
        bars: x, low and high of each vertical bar.
        levels: Name and y of each horizontal line, named at its ends.
    """
    figure = axes.get_figure(root=True)
    if figure is None:
        return
    figure.draw_without_rendering()
    to_pixels = axes.transData.transform
    points = [to_pixels((x, y)) for _, x, y in marks]
    taken = [Bbox.from_bounds(x - RADIUS, y - RADIUS, 2 * RADIUS, 2 * RADIUS) for x, y in points]
    for x, low, high in bars:
        (left, bottom), (_, top) = to_pixels((x, low)), to_pixels((x, high))
        taken.append(Bbox.from_extents(left - 2, bottom, left + 2, top))
    left, right = axes.get_xlim()
    for name, y in levels:
        notes = [
            _note(axes, name, (x, y), dx, dy, side, edge)
            for x, dx, side in ((right, -4, "right"), (left, 4, "left"))
            for dy, edge in ((3, "bottom"), (-3, "top"))
        ]
        _settle(axes, notes, taken)
    for _, y in levels:
        height = to_pixels((left, y))[1]
        taken.append(Bbox.from_extents(axes.bbox.x0, height - 2, axes.bbox.x1, height + 2))
    for name, x, y in marks:
        _settle(axes, [_note(axes, name, (x, y), *rest) for rest in PLACES], taken)


def _note(
    axes: Axes, name: str, at: tuple[float, float], dx: float, dy: float, horizontal: str, vertical: str
) -> Annotation:
    far = abs(dx) + abs(dy) > 16
    note = axes.annotate(
        name,
        at,
        (dx, dy),
        textcoords="offset points",
        ha=horizontal,
        va=vertical,
        fontsize=10,
        arrowprops={"arrowstyle": "-", "color": "#7F7F7F", "linewidth": 0.8, "shrinkB": 5} if far else None,
    )
    note.set_in_layout(False)
    return note


def _settle(axes: Axes, notes: Sequence[Annotation], taken: list[Bbox]) -> None:
    """Keep the note that covers least, the first of equals; remove the others."""
    boxes = [note.get_window_extent().padded(1) for note in notes]
    covered = [_covered(box, taken, axes.bbox) for box in boxes]
    chosen = covered.index(min(covered))
    taken.append(boxes[chosen])
    for at, note in enumerate(notes):
        if at != chosen:
            note.remove()


def _covered(box: Bbox, taken: Sequence[Bbox], frame: Bbox) -> float:
    """Square pixels of `box` over things taken or outside the frame."""
    inside = Bbox.intersection(box, frame)
    lost = box.width * box.height - (inside.width * inside.height if inside else 0.0)
    common = [Bbox.intersection(box, other) for other in taken]
    return float(lost + sum(part.width * part.height for part in common if part))
