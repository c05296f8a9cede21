"""The comparison of Li et al. (2022): one round, more rounds, and pooled fits."""
