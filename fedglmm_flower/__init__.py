"""Federated generalized linear mixed models in one round of communication."""

__version__ = "0.1.0"
