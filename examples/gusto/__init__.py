"""GUSTO-I: one model over 48 hospital groups, one round."""
