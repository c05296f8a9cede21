"""How a message travels: canonical bytes, sealed, signed, and bound to its place."""
