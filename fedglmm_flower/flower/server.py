"""The ServerApp of the coordinator."""

from flwr.serverapp import ServerApp

app = ServerApp()
