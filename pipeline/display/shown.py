"""Results that interactive Python and notebooks show as the terminal does."""

from html import escape

from pipeline.display.text import lines


class Shown:
    """Base of results whose `repr` is their text in a terminal. Subclasses have a form in `lines`."""

    def __repr__(self) -> str:
        """Return the lines of the terminal."""
        return "\n".join(lines(self))

    def _repr_html_(self) -> str:
        """Return the same lines for a notebook."""
        return f"<pre>{escape(repr(self))}</pre>"
