"""The coordinator: Flower's ServerApp."""
