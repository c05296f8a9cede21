"""A Flower grid in one process: real messages and real serialisation, no servers."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NoReturn, Self

from flwr.app import Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.common.constant import SUPERLINK_NODE_ID, ErrorCode
from flwr.common.serde import message_from_proto, message_to_proto
from flwr.serverapp import Grid
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

FIRST_NODE = 1001
# Where Flower keeps the identity: its properties raise as long as nothing is set.
_IDENTITY = ("_run_id", "_node_id", "_task_id")

ConfigValue = bool | float | int | str


class InProcessGrid(Grid):
    """
    Carries the messages of a run to ClientApps that are called as functions.

    Each message is serialised and read back as on the wire, in both directions, so
    that what works here has crossed the same encoding as in a deployment.  A request
    is carried out when its reply is pulled, one for each pull, so that progress and
    deadlines behave as they do with real nodes.

    Parameters
    ----------
    client_app : ClientApp
        The app of every node.
    node_configs : sequence of mapping
        One for each node: what ``--node-config`` would hold.
    run_config : mapping, optional
        What ``flwr run -c`` would hold.
    record : bool
        Whether to keep every message, as bytes, in ``sent`` and ``replied``.
    silent : collection of int
        Positions of nodes that never answer.
    broken : collection of int
        Positions of nodes whose app crashes.

    Attributes
    ----------
    sent, replied : list of bytes
        Serialised messages, in order; empty unless recorded.

    Notes
    -----
    Messages take their run and node from Flower's ``TaskIdentity``, which belongs to
    the whole process: use one grid at a time, inside ``with``.
    """

    def __init__(
        self,
        client_app: ClientApp,
        node_configs: Sequence[Mapping[str, ConfigValue]],
        run_config: Mapping[str, ConfigValue] | None = None,
        *,
        record: bool = False,
        silent: Collection[int] = (),
        broken: Collection[int] = (),
    ) -> None:
        self._client_app = client_app
        self._run_config = dict(run_config or {})
        self._run = Run.create_empty(1)
        self._record = record
        self._contexts: dict[int, Context] = {}
        self._waiting: dict[str, Message] = {}
        self._silent = {FIRST_NODE + position for position in silent}
        self._broken = {FIRST_NODE + position for position in broken}
        self.sent: list[bytes] = []
        self.replied: list[bytes] = []
        self._identity: dict[str, int | None] = {}
        for node_config in node_configs:
            self.join(node_config)

    def __enter__(self) -> Self:
        self._identity = {name: getattr(TaskIdentity, name) for name in _IDENTITY}
        TaskIdentity.run_id = self._run.run_id
        TaskIdentity.node_id = SUPERLINK_NODE_ID
        TaskIdentity.task_id = self._run.run_id
        return self

    def __exit__(self, *_: object) -> None:
        for name, value in self._identity.items():
            setattr(TaskIdentity, name, value)

    def join(self, node_config: Mapping[str, ConfigValue]) -> int:
        """Bring a node online and return its identifier."""
        node_id = FIRST_NODE + len(self._contexts)
        self._contexts[node_id] = Context(
            run_id=self._run.run_id,
            node_id=node_id,
            node_config=dict(node_config),
            state=RecordDict(),
            run_config=dict(self._run_config),
        )
        return node_id

    def set_run(self, run: Run) -> None:
        """Set the run."""
        self._run = run

    @property
    def run(self) -> Run:
        """The run."""
        return self._run

    def create_message(
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = None,
    ) -> NoReturn:
        """Refuse: Flower deprecates it in favour of ``Message``."""
        msg = "create_message is deprecated by Flower; construct a Message"
        raise NotImplementedError(msg)

    def get_node_ids(self) -> Iterable[int]:
        """Identifiers of the nodes that are online."""
        return list(self._contexts)

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        """Accept messages; they are carried out when their replies are pulled."""
        identifiers = []
        for message in messages:
            identifier = message.object_id
            message.metadata.__dict__["_message_id"] = identifier
            self._waiting[identifier] = self._carry(message, self.sent)
            identifiers.append(identifier)
        return identifiers

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """The reply to the first of these messages whose node answers, if any."""
        for identifier in list(message_ids):
            message = self._waiting.get(identifier)
            if message is None or message.metadata.dst_node_id in self._silent:
                continue
            del self._waiting[identifier]
            return [self._carry(self._answer(message), self.replied)]
        return []

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        """Every reply that comes; silent nodes are left out without waiting."""
        del timeout  # nothing here takes time that could be waited out
        identifiers = self.push_messages(messages)
        replies: list[Message] = []
        while batch := list(self.pull_messages(identifiers)):
            replies += batch
        return replies

    def _answer(self, message: Message) -> Message:
        """Call the app as a node does, and map what it raises as Flower does."""
        node_id = message.metadata.dst_node_id
        context = self._contexts.get(node_id)
        if context is None:
            return Message(Error(ErrorCode.NODE_UNAVAILABLE), reply_to=message)
        with _as_node(node_id):
            try:
                if node_id in self._broken:
                    msg = "the node's app is broken"
                    raise RuntimeError(msg)  # noqa: TRY301 - one path for all crashes
                return self._client_app(message, context)
            except Exception as error:  # noqa: BLE001 - what a SuperNode catches
                reason = f"{type(error)}:<{error!r}>"
                code = ErrorCode.CLIENT_APP_RAISED_EXCEPTION
                return Message(Error(code, reason), reply_to=message)

    def _carry(self, message: Message, log: list[bytes]) -> Message:
        """Serialise a message, and read it back at the other end."""
        proto = message_to_proto(message)
        if self._record:
            log.append(proto.SerializeToString())
        return message_from_proto(type(proto).FromString(proto.SerializeToString()))


@contextmanager
def _as_node(node_id: int) -> Iterator[None]:
    before = TaskIdentity.node_id
    TaskIdentity.node_id = node_id
    try:
        yield
    finally:
        TaskIdentity.node_id = before
