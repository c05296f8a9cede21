"""The ClientApp of a site."""

from flwr.clientapp import ClientApp

app = ClientApp()
