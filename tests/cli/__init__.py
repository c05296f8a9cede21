"""Tests of the ``fedglmm`` command."""
