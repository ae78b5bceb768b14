"""Contenders' means over again, as other draws of the clusters and the seeds would give."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from advisor.errors import AdvisorError
from advisor.stats.spread import Codes, Floats


def redrawn_means(
    credits: Sequence[Floats], codes: Codes, *, seed: int, draws: int
) -> Floats:
    """Each contender's mean in `draws` redraws of whole clusters, and of its seeds.

    `credits` holds one array a contender, seeds x items, NaN where an answer failed; an item
    that any of them lacks is used for none, so that a redraw is paired. The clusters of a
    redraw are the same for all contenders, the seeds are drawn for each. Shape
    (draws, len(credits)). Raises AdvisorError when no item is left.
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
    counts = picks @ sizes
    means = np.empty((draws, len(credits)))
    for index, one in enumerate(credits):
        sums = np.stack([np.bincount(kept, row[shared]) for row in one], axis=1)
        by_seed = (picks @ sums) / counts[:, None]
        means[:, index] = (by_seed * _weights(len(one), draws, generator)).sum(axis=1)
    return means


def _weights(seeds: int, draws: int, generator: np.random.Generator) -> Floats:
    """How much each seed counts in each redraw; rows add up to 1.

    Redrawing S seeds as they are would show only (S - 1)/S of their variance, which at
    three seeds is a third too little: departures from equal weights are stretched to match.
    """
    if seeds == 1:
        return np.ones((draws, 1))
    share = generator.multinomial(seeds, np.full(seeds, 1 / seeds), size=draws) / seeds
    stretched: Floats = 1 / seeds + (share - 1 / seeds) * np.sqrt(seeds / (seeds - 1))
    return stretched
