"""Speed of the engine against its peers: the same work, the same weights, one run."""
