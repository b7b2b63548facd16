"""What a push shows of itself while it runs."""

from __future__ import annotations

from celonis_frames._progress.bar import new_bar


class Progress:
    """A bar on a terminal or in a notebook; nothing elsewhere.

    Args:
        label: Name of the table.
        show: True shows the bar, False hides it; None shows it in notebooks and terminals.

    Attributes:
        bar: The bar, if there is one.
    """

    def __init__(self, label: str, *, show: bool | None) -> None:
        self.bar = new_bar(label, show=show)

    def stage(self, name: str) -> None:
        """Show the current stage."""
        if self.bar is not None:
            self.bar.show(name)

    def sent(self, size: int) -> None:
        """Count sent bytes. Called from upload threads."""
        if self.bar is not None:
            self.bar.sent(size)

    def chunk_done(self) -> None:
        """Count a chunk."""
        if self.bar is not None:
            self.bar.chunk_done()

    def restart(self) -> None:
        """Reset the counts: a new job gets all chunks again."""
        if self.bar is not None:
            self.bar.restart()

    def close(self) -> None:
        """Remove the bar."""
        if self.bar is not None:
            self.bar.close()
