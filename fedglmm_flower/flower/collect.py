"""The poll loop: replies as they come, newcomers asked, a deadline kept."""

import time
from collections.abc import Callable, Iterable, Iterator

from flwr.app import Error, Message
from flwr.common.constant import ErrorCode
from flwr.serverapp import Grid

SHORTEST_PAUSE = 0.02
LONGEST_PAUSE = 2.0


class Pause:
    """Sleeps a little longer each time nothing has happened."""

    def __init__(self, until: float) -> None:
        self._until = until
        self._next = SHORTEST_PAUSE

    def reset(self) -> None:
        """Something has happened: look again soon."""
        self._next = SHORTEST_PAUSE

    def rest(self) -> None:
        """Sleep, but not beyond the deadline."""
        time.sleep(max(0.0, min(self._next, self._until - time.monotonic())))
        self._next = min(1.5 * self._next, LONGEST_PAUSE)


def gather(
    grid: Grid,
    count: int,
    *,
    until: float,
    seen: Callable[[int], None],
) -> list[int]:
    """
    Wait until enough nodes are online.

    Parameters
    ----------
    grid : Grid
        Flower's grid.
    count : int
        Number of nodes that are expected.
    until : float
        Deadline, on ``time.monotonic``.
    seen : callable
        Told the number of nodes whenever it changes.

    Returns
    -------
    list of int
        All nodes online; fewer than expected only after the deadline.
    """
    pause, last = Pause(until), -1
    while True:
        nodes = sorted(set(grid.get_node_ids()))
        if len(nodes) != last:
            last = len(nodes)
            seen(last)
            pause.reset()
        if len(nodes) >= count or time.monotonic() >= until:
            return nodes
        pause.rest()


def collect(
    grid: Grid,
    messages: Iterable[Message],
    *,
    until: float,
    newcomers: Callable[[], Iterable[Message]] = tuple,
    waiting: Callable[[], bool] = lambda: False,
) -> Iterator[Message]:
    """
    Send messages and yield the replies as they come.

    Parameters
    ----------
    grid : Grid
        Flower's grid.
    messages : iterable of Message
        What is sent at once.
    until : float
        Deadline, on ``time.monotonic``.
    newcomers : callable
        Further messages to send, asked for at every turn.
    waiting : callable
        Whether to wait for newcomers although no reply is outstanding.

    Yields
    ------
    Message
        A reply; an error of Flower's if its message could not be sent.  The loop ends
        when no reply is outstanding and nobody is waited for, or at the deadline.
    """
    outstanding: set[str] = set()
    pause = Pause(until)
    batch = list(messages)
    while True:
        accepted = set(grid.push_messages(batch)) if batch else set()
        for message in batch:
            # Flower leaves out, or returns None for, what it could not send.
            if message.metadata.message_id in accepted:
                outstanding.add(message.metadata.message_id)
            else:
                yield Message(Error(ErrorCode.NODE_UNAVAILABLE), reply_to=message)
        replies = list(grid.pull_messages(outstanding)) if outstanding else []
        for reply in replies:
            outstanding.discard(reply.metadata.reply_to_message_id)
            yield reply
        batch = list(newcomers())
        if time.monotonic() >= until or not (outstanding or batch or waiting()):
            return
        if replies:
            pause.reset()
        elif not batch:
            pause.rest()
