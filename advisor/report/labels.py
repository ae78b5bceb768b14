"""Where to write the names in a scatter, so that none covers another or a point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

GLYPH = 7.0  # widest usual advance of 12 px bold system fonts, in px per character
LINE = 14.0
_REACH = (9.0, 16.0, 28.0, 42.0, 58.0)
_SIDES = ((1, 0), (-1, 0), (1, -1), (1, 1), (-1, -1), (-1, 1), (0, -1), (0, 1))


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in px, `y` downwards."""

    left: float
    top: float
    right: float
    bottom: float

    def overlap(self, other: Box) -> float:
        """The area the two share."""
        wide = min(self.right, other.right) - max(self.left, other.left)
        high = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(wide, 0.0) * max(high, 0.0)

    def outside(self, frame: Box) -> float:
        """The area that does not fit into `frame`."""
        return (self.right - self.left) * (self.bottom - self.top) - self.overlap(frame)


@dataclass(frozen=True, slots=True)
class Placed:
    """A label's box, and whether it stands so far off that it needs a leader line."""

    box: Box
    far: bool


def place(
    anchors: Sequence[tuple[float, float, str]], *, obstacles: Sequence[Box], frame: Box
) -> list[Placed]:
    """One box an anchor (x, y, name): greedy, least overlap first, near before far.

    Earlier anchors choose first; a second pass lets each move once the others stand.
    """
    placed: list[Placed | None] = [None] * len(anchors)
    for _ in range(2):
        for index, anchor in enumerate(anchors):
            taken = [one.box for at, one in enumerate(placed) if one and at != index]
            placed[index] = min(
                _candidates(anchor),
                key=lambda one: _cost(one[1].box, taken, obstacles, frame) + one[0],
            )[1]
    return [one for one in placed if one]


def _candidates(anchor: tuple[float, float, str]) -> list[tuple[float, Placed]]:
    x, y, name = anchor
    wide = len(name) * GLYPH
    found = []
    for ring, reach in enumerate(_REACH):
        for order, (across, down) in enumerate(_SIDES):
            slant = 0.75 if across and down else 1.0
            left = x + across * reach * slant - (wide if across < 0 else 0 if across else wide / 2)
            middle = y + down * (reach * slant + (0 if across else LINE / 2 - 2))
            box = Box(left, middle - LINE / 2, left + wide, middle + LINE / 2)
            found.append((ring * 9.0 + order * 0.8, Placed(box, far=ring > 1)))
    return found


def _cost(box: Box, taken: list[Box], obstacles: Sequence[Box], frame: Box) -> float:
    text = sum(box.overlap(other) for other in taken)
    marks = sum(box.overlap(other) for other in obstacles)
    return text * 4 + marks * 2 + box.outside(frame) * 20
