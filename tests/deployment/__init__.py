"""Deployments on the loopback interface, as the documentation describes them."""
