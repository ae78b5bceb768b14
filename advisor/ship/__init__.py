"""Shipping: what was measured, packed so that it runs elsewhere and cannot be altered."""
