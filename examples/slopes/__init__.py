"""Recovery after surgery: a gaussian model whose slopes vary by hospital."""
