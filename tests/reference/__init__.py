"""Fits of other programs, and the tables they were made from."""
