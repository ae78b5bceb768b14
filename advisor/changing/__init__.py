"""A later version of a task's facts, made by changing values that stand in its documents."""
