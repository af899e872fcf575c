"""Test doubles of the libraries that contexts use."""
