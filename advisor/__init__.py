"""Should we prompt, retrieve or fine-tune? Measured, decided and shipped."""

__version__ = "0.1.0"
