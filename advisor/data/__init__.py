"""Reading a task from disk: rows, corpus, checks across splits, digests."""
