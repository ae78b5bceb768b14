"""Contenders' means over again, as other draws of the clusters and the seeds would give."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from advisor.errors import AdvisorError
from advisor.stats.spread import Codes, Floats, between_seeds


def redrawn_means(
    credits: Sequence[Floats], codes: Codes, *, seed: int, draws: int
) -> Floats:
    """Each contender's mean in `draws` redraws of whole clusters, and of its seeds.

    `credits` holds one array a contender, seeds x items, NaN where an answer failed; an item
    that any of them lacks is used for none, so that a redraw is paired: its clusters are the
    same for all. Three seeds are too few to be drawn from, so what they add is drawn for
    each contender from a normal distribution of the variance that `between_seeds` finds.
    Shape (draws, len(credits)). Raises AdvisorError when no item is left.
    """
    shared = np.isfinite([one.sum(axis=0) for one in credits]).all(axis=0)
    if not shared.any():
        raise AdvisorError(
            "the contenders share no graded question", fix="run them on the same test rows"
        )
    kept: Codes = np.unique(codes[shared], return_inverse=True)[1]
    sizes = np.bincount(kept).astype(np.float64)
    generator = np.random.default_rng(seed)
    picks = generator.multinomial(len(sizes), np.full(len(sizes), 1 / len(sizes)), size=draws)
    sums = np.stack([np.bincount(kept, one[:, shared].mean(axis=0)) for one in credits], axis=1)
    means: Floats = (picks @ sums) / (picks @ sizes)[:, None]
    luck = [between_seeds(one[:, shared])[0] ** 0.5 for one in credits]
    means += generator.normal(size=means.shape) * luck
    return means
