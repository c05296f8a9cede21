"""Differential privacy: noise at every site, and intervals that hold it."""
