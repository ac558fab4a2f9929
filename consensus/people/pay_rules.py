"""The rules file of `consensus pay`."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictInt, model_validator

from consensus.core.people.pay import Best, Rules, Tier
from consensus.settings import read_rules_file

Amount = Annotated[StrictInt, Field(ge=0, le=10**9)]
Kind = Literal["spam", "contrary", "same answer", "too fast", "copying"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TierSection(_Strict):
    """`[[tiers]]`: a bonus in percent of the base pay, from a trust on."""

    trust: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
    bonus_percent: Annotated[StrictInt, Field(ge=0, le=1000)]


class BestSection(_Strict):
    """`[best_annotator]`: a bonus for the most trusted annotator of each calendar month."""

    bonus: Amount
    min_votes: Annotated[StrictInt, Field(ge=1)]


class RulesFile(_Strict):
    """What the rules file says; amounts are whole numbers of the currency's smallest unit."""

    unit: Annotated[str, Field(min_length=1)]
    per_vote: Amount
    per_unsure: Amount = 0
    trust_by: Literal["trust", "trust_low"] = "trust"
    reject: list[Kind] = ["spam", "same answer"]
    pardon: list[str] = []
    tiers: list[TierSection] = []
    best_annotator: BestSection | None = None

    @model_validator(mode="after")
    def _no_tier_twice(self) -> "RulesFile":
        lines = [tier.trust for tier in self.tiers]
        if len(set(lines)) < len(lines):
            raise ValueError("two tiers begin at the same trust")
        return self

    def core(self) -> Rules:
        """The same, as the core reads it."""
        best = self.best_annotator
        return Rules(
            unit=self.unit,
            per_vote=self.per_vote,
            per_unsure=self.per_unsure,
            tiers=tuple(Tier(tier.trust, tier.bonus_percent) for tier in self.tiers),
            trust_by=self.trust_by,
            rejected=frozenset(self.reject),
            pardoned=frozenset(self.pardon),
            best=Best(best.bonus, best.min_votes) if best else None,
        )


def read_rules(path: Path) -> RulesFile:
    """Read the rules file, each key of which docs/people.md explains."""
    return read_rules_file(RulesFile, path, "people.md")
