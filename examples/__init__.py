"""Runnable examples; in neither the wheel nor the Flower app bundle."""
