"""Terminal form of an exported model."""

from pipeline.display.text import lines
from trainer.export import ExportedModel

_MB = 1e6


@lines.register
def _(model: ExportedModel) -> list[str]:
    found = [f"!! {banner}" for banner in model.banners]
    if model.licensed:
        found.append(
            f"!! trained on {model.licensed}, which is under a licence: ask the authors before you share this"
        )
    found += [f"note: {note}" for note in model.notes]
    found += [f"  {size / _MB:8.3f} MB  {name}" for name, size in model.files.items()]
    if model.pushed is not None:
        visibility = "private" if model.pushed.is_private else "PUBLIC"
        found.append(f"uploaded to {model.pushed.name} ({visibility}): {model.pushed.url}")
    return [*found, f"wrote {model.path}, {model.num_bytes / _MB:.1f} MB"]
