"""A system on disk, read when a stage needs it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from advisor.core import System
from advisor.engines.protocol import Engine


@dataclass(slots=True)
class Opened:
    """A prepared system, read from disk only if some stage really needs it."""

    open: Callable[[], tuple[System, Engine | None]]
    warm: bool = False
    _live: tuple[System, Engine | None] | None = None

    @property
    def system(self) -> System:
        return self._both()[0]

    @property
    def engine(self) -> Engine | None:
        return self._both()[1]

    def _both(self) -> tuple[System, Engine | None]:
        if self._live is None:
            self._live = self.open()
        return self._live
