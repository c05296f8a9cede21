"""Whole federations against pooled fits."""
