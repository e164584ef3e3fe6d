"""The studio: a local page for people who do not type commands (``app.py`` says how it is put together)."""
