"""The library's door: Client and AsyncClient, what they are asked, and what they answer."""

from bursar.client.clients import AsyncClient, Client

__all__ = ["AsyncClient", "Client"]
