"""What was measured, once the answers exist: pure functions of rows."""
