"""What can be set of a portrait of preset ``mien``: plain values, so that reading a request loads no network."""

from __future__ import annotations

from pydantic import Field

from mien.core.config import Config


class RefineConfig(Config):
    """How far a portrait is refined (``refine``)."""

    steps: int = Field(default=8, ge=0, le=100, description="of drawing again; 0: none")
    rate: float = Field(default=0.07, gt=0, description="of Adam, in deviations of the code")
    embedding: float = Field(default=1.0, ge=0, description="weight of who it is")
    features: float = Field(default=1.0, ge=0, description="of how the person looks")
    turn: float = Field(default=0.3, ge=0, description="of looking ahead")
    mouth: float = Field(default=0.3, ge=0, description="of a shut mouth")
    dark: float = Field(default=0.3, ge=0, description="of a light background")
    tone: float = Field(default=2.0, ge=0, description="of keeping the skin's colour")

    @property
    def version(self) -> str:
        """What of it makes another picture: ``refined-8b``, ``refined-8b-rate-0.05``; empty where nothing is refined.

        ``b``: some faces at once; before, one by one.
        """
        if not self.steps:
            return ""
        usual = type(self)()
        others = [f"-{k}-{v:g}" for k, v in self.model_dump().items() if k != "steps" and v != getattr(usual, k)]
        return f"refined-{self.steps}b{''.join(others)}"
