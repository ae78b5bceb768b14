"""Figures with intervals: paired on question ids, clustered by source, seeded.

Which method stands where was chosen by simulation (tests/validity keeps it): credits in
0..1 get a Beta interval at the effective number of items, differences a cluster-robust
score interval, unbounded values a bootstrap-t interval. None of them has zero width on
credits, however alike the answers are.
"""

from advisor.stats.adjust import benjamini_hochberg, holm
from advisor.stats.differences import (
    Difference,
    compare,
    difference,
    flipped,
    lower_bound,
    p_greater,
    p_less,
    upper_bound,
)
from advisor.stats.means import measure, measure_seeds
from advisor.stats.redraws import redrawn_means
from advisor.stats.sizes import detectable, expected_gain, gain_of_more, rows_to_decide
from advisor.stats.spread import coded

__all__ = [
    "Difference", "benjamini_hochberg", "coded", "compare", "detectable", "difference",
    "expected_gain", "flipped", "gain_of_more", "holm", "lower_bound", "measure",
    "measure_seeds", "p_greater", "p_less", "redrawn_means", "rows_to_decide", "upper_bound",
]
