"""What can be set of a portrait of preset ``mien``: plain values, so that reading a request loads no network."""

from __future__ import annotations

from mien.core.config import Config


class RefineConfig(Config):
    """How far a portrait is refined (``refine``); the last six are weights of what the picture is to show."""

    steps: int = 8
    rate: float = 0.07  # of Adam, in deviations of the code
    embedding: float = 1.0
    features: float = 1.0
    turn: float = 0.3
    mouth: float = 0.3
    dark: float = 0.3
    tone: float = 2.0

    @property
    def version(self) -> str:
        """What of it makes another picture: ``refined-8``, ``refined-8-rate-0.05``; empty where nothing is refined."""
        if not self.steps:
            return ""
        usual = type(self)()
        others = [f"-{k}-{v:g}" for k, v in self.model_dump().items() if k != "steps" and v != getattr(usual, k)]
        return f"refined-{self.steps}{''.join(others)}"
