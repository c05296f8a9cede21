"""Error of the fit against the count of numbers that a site sends."""
