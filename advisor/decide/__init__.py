"""From measurements to advice. Pure: no clock, no model, no files."""

from advisor.decide.conclusion import Case, conclude
from advisor.decide.evidence import Evidence
from advisor.decide.rule import decide

__all__ = ["Case", "Evidence", "conclude", "decide"]
