"""One claim a script, against a named peer, in one run."""
