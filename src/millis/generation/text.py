"""Text of tokens while they come: what is given out is final, and together it is the text of all of them.

Two things are held back. A token of a byte-level or byte-fallback vocabulary may end inside a character, whose bytes so
far are decoded as U+FFFD, so that those at the end wait for what comes. And the longest end of the text that a stop
string begins with waits until it is that stop string or is not.
"""

from collections.abc import Callable, Sequence

Decode = Callable[[Sequence[int]], str]
"""Ids to text. More tokens must only add to the text of fewer, but for U+FFFD at its end and for what depends on a
token being the first: so it is of byte-level BPE, and of byte fallback where bytes are valid."""

UNFINISHED = "\ufffd"


class TextStream:
    """Tokens in, pieces of text out.

    Args:
        decode: Of the tokenizer.
        stop: Strings, none empty, before the first of which the text ends.

    Attributes:
        stopped: Whether one was met. Nothing may be pushed after that.
    """

    def __init__(self, decode: Decode, stop: Sequence[str] = ()) -> None:
        self.stopped = False
        self._decode, self._stop = decode, tuple(stop)
        self._longest = max(map(len, self._stop), default=0)
        self._before: list[int] = []  # tokens that end with a whole character, of which some text came
        self._after: list[int] = []  # tokens since then
        self._known = 0  # characters of the text of both that were taken up
        self._held = ""  # taken up and not given out: a stop string may begin here

    def push(self, token: int, may_stop: bool = True) -> str:
        """What is final by now and was not before, often nothing.

        Args:
            may_stop: Whether a stop string that ends with this token counts; one that does not never will.
        """
        self._after.append(token)
        text = self._decode(self._before + self._after)
        whole = text.rstrip(UNFINISHED)
        fresh = whole[self._known :]
        self._known = max(self._known, len(whole))
        if fresh and whole == text:
            self._before, self._after = self._after, []
            self._known = len(self._decode(self._before))
        return self._checked(fresh, may_stop) if self._stop else fresh

    def finish(self) -> str:
        """What was held back, where nothing more comes: unfinished characters as U+FFFD."""
        rest = self._held + self._decode(self._before + self._after)[self._known :]
        self._before, self._after, self._known, self._held = [], [], 0, ""
        return "" if self.stopped else rest

    def _checked(self, fresh: str, may_stop: bool) -> str:
        """Of what was held back and `fresh`: what comes before a stop string, or before what may become one."""
        text = self._held + fresh
        if may_stop and fresh:
            # Only those that end within what is fresh: others were looked at, or did not count.
            found = [text.find(stop, max(0, len(self._held) - len(stop) + 1)) for stop in self._stop]
            if begins := [at for at in found if at >= 0]:
                self.stopped, self._held = True, ""
                return text[: min(begins)]
        held = next((n for n in range(min(self._longest - 1, len(text)), 0, -1) if self._may_become(text[-n:])), 0)
        given = len(text) - held
        self._held = text[given:]
        return text[:given]

    def _may_become(self, end: str) -> bool:
        return any(len(end) < len(stop) and stop.startswith(end) for stop in self._stop)
