"""Engines: whatever can run a language model."""
