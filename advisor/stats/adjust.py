"""Several p-values at once: Holm where one false claim is too many, BH where a share is."""

from __future__ import annotations

from collections.abc import Sequence


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Holm's adjusted p-values (1979), in the order given."""
    adjusted = [0.0] * len(p_values)
    running = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda one: p_values[one])):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = running
    return tuple(adjusted)


def benjamini_hochberg(p_values: Sequence[float]) -> tuple[float, ...]:
    """Benjamini and Hochberg's adjusted p-values (1995), in the order given.

    Claiming all that are at most alpha, the expected share of false claims is alpha.
    """
    many = len(p_values)
    adjusted = [0.0] * many
    running = 1.0
    ranked = sorted(range(many), key=lambda one: p_values[one])
    for rank in range(many, 0, -1):
        index = ranked[rank - 1]
        running = min(running, p_values[index] * many / rank)
        adjusted[index] = running
    return tuple(adjusted)
