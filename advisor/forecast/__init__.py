"""What a run will take, from a short probe of the engine that will do it; and how true that was."""
