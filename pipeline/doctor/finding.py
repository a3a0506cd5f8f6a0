"""Something that is wrong with a dataset."""

from dataclasses import dataclass

from pipeline.doctor.finding_kinds import KINDS, Severity


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Problem of a dataset: its kind (of KINDS), one sentence on it, and every clip or line concerned."""

    kind: str
    what: str
    cases: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            msg = f"a finding's kind is '{self.kind}', which is none of KINDS"
            raise ValueError(msg)

    @property
    def severity(self) -> Severity:
        """Severity of its kind."""
        return KINDS[self.kind].severity

    @property
    def remedy(self) -> str:
        """Remedy of its kind."""
        return KINDS[self.kind].remedy
