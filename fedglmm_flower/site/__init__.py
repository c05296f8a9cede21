"""What a site does: rows to moments, gate, mechanism, and the one released summary."""
