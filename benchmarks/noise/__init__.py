"""Coverage of intervals under noise, replicate by replicate."""
