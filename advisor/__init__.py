"""Should we prompt, retrieve or fine-tune? Measured, decided and shipped."""

# Part of every answer's identity: raised when the same recipe begins to answer otherwise.
__version__ = "0.4.0"
