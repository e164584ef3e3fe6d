"""The exceptions of mien, as callers catch them: ``except mien.errors.MienError``."""

from mien.core.errors import (
    DatasetError,
    FetchError,
    MienError,
    PhotoError,
    RequestError,
    SourceError,
    StoreError,
    TooFewError,
    TrainingError,
    WeightsError,
)

__all__ = [
    "DatasetError",
    "FetchError",
    "MienError",
    "PhotoError",
    "RequestError",
    "SourceError",
    "StoreError",
    "TooFewError",
    "TrainingError",
    "WeightsError",
]
