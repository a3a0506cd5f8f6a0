"""A report with its files, for tests of what it shows."""

import json

from trainer.report import report


def written_report(runs, out, **options):
    """The report, its HTML and Markdown, and its JSON as values."""
    made = report(runs, out, lambda _: None, device="cpu", **options)
    return (
        made,
        *((out / f"report.{kind}").read_text() for kind in ("html", "md")),
        json.loads((out / "report.json").read_text()),
    )
