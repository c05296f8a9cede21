"""Tests of what the coordinator makes of releases."""
