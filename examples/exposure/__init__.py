"""Falls in hospital wards: counts with exposure, in a Poisson model."""
