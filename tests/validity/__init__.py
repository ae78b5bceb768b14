"""Whether the statistics keep what they promise, on made-up journals."""
