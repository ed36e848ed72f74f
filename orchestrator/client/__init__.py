"""The Python SDK: contract models in and out, over the coordinator's HTTP API."""

from orchestrator.client.asynchronous import AsyncClient
from orchestrator.client.blocking import Client
from orchestrator.client.errors import ClientError, ProblemError, TimedOut, Unreachable, Untrusted

__all__ = ["AsyncClient", "Client", "ClientError", "ProblemError", "TimedOut", "Unreachable", "Untrusted"]
