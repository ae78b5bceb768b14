"""A candidate against a champion on the same items: pass, fail, or not enough to tell."""
