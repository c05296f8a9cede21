"""The ``fedglmm`` command."""
