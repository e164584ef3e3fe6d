"""The service: HTTP -> calls. ``create_app`` in ``app.py`` is the whole of it (docs/service.md)."""
