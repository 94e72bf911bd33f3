"""Proving that the books balance, on what is there."""
