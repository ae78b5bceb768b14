"""From material to lessons: what a tuned contender is shown."""
