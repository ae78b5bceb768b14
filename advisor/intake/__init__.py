"""From rows that somebody already has to a task folder: read, map, split, guess, write."""
