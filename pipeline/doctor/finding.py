"""Something that is wrong with a dataset."""

from dataclasses import dataclass

from pipeline.doctor.finding_kinds import KINDS, Severity


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something found: its kind (of KINDS), one sentence on it, and every clip or line concerned."""

    kind: str
    what: str
    cases: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            msg = f"a finding's kind is '{self.kind}', which is none of KINDS"
            raise ValueError(msg)

    @property
    def severity(self) -> Severity:
        """How much it matters."""
        return KINDS[self.kind].severity

    @property
    def remedy(self) -> str:
        """What to do about it."""
        return KINDS[self.kind].remedy
