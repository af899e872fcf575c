"""Doubles of what the contexts inject."""
