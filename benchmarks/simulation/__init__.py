"""Pooled fits and release sets over simulated designs, replicate by replicate."""
