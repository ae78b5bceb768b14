"""Contenders: a recipe composed into something that answers."""
