"""An OpenAI-compatible HTTP server over what was measured; docs/serving.md is its contract."""
