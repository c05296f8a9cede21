"""Federated generalized linear mixed models in one round of communication."""
