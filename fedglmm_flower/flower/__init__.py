"""The exchange: the only room that imports Flower."""
