"""Running contenders: what calls models, and what remembers what they said."""
