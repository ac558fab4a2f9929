"""What a model returns."""

from typing import Any

from pydantic import BaseModel


class PredictionValue(BaseModel):
    """A prediction of a task."""

    model_version: str | None = None
    score: float | None = None
    result: list[dict[str, Any]] | None = None


class ModelResponse(BaseModel):
    """Predictions of tasks, in their order."""

    model_version: str | None = None
    predictions: list[PredictionValue | list[PredictionValue]]
