"""The ClientApp of a site: its questions, and no error that tells more than it may."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from flwr.app import ConfigRecord, Context, Message
from flwr.clientapp import ClientApp
from flwr.clientapp.typing import ClientAppCallable

from fedglmm_flower.errors import EnvelopeError
from fedglmm_flower.flower.configured_desk import desk_of
from fedglmm_flower.flower.exchange import (
    Delivery,
    Received,
    Request,
    ScoreRequest,
    SealedRelease,
    refusal,
)
from fedglmm_flower.flower.locate import site_file
from fedglmm_flower.flower.records import (
    read_delivery,
    read_request,
    read_score_request,
    reply_content,
)
from fedglmm_flower.flower.site_log import LOG_NAME, write_detail

STATE = "fedglmm"


class Desk(Protocol):
    """A site's side of the exchange, as :class:`SiteDesk` implements it."""

    @property
    def site(self) -> str:
        """Name of the site."""
        ...

    @property
    def log(self) -> Path | None:
        """The site's own log."""
        ...

    def summarise(self, request: Request) -> SealedRelease:
        """Answer a request."""
        ...

    def score(self, asked: ScoreRequest) -> SealedRelease:
        """Answer a question of a further round."""
        ...

    def receive(self, delivery: Delivery, study: bytes) -> Received:
        """Store the estimates."""
        ...


OpenDesk = Callable[[Context, bytes], Desk]


def desk_of_node(context: Context, study: bytes) -> Desk:
    """The desk of a node, from its ``site.toml``."""
    path = site_file(context, study)
    try:
        return desk_of(path)
    except Exception as error:
        _log(path.parent / LOG_NAME, error)  # no desk that could name its log
        raise


def make_client_app(open_desk: OpenDesk = desk_of_node) -> ClientApp:
    """
    The ClientApp of every site.

    Leaves the site: a sealed release, an acknowledgement, or the code and the fixed
    sentence of a refusal.  Nothing else, whatever goes wrong.

    Parameters
    ----------
    open_desk : callable
        From a node's context and the study's bytes to the site's desk.

    Returns
    -------
    ClientApp
        With handlers for ``query.summarise``, ``query.score`` and
        ``query.receive_result``.
    """
    app = ClientApp(mods=[refuse_on_error])

    @app.query("summarise")
    def summarise(message: Message, context: Context) -> Message:
        request = read_request(message.content)
        desk = open_desk(context, request.study)
        context.state[STATE] = _remember(desk, request)
        return Message(reply_content(desk.summarise(request)), reply_to=message)

    @app.query("score")
    def score(message: Message, context: Context) -> Message:
        asked = read_score_request(message.content)
        desk = open_desk(context, asked.request.study)
        context.state[STATE] = _remember(desk, asked.request)
        return Message(reply_content(desk.score(asked)), reply_to=message)

    @app.query("receive_result")
    def receive_result(message: Message, context: Context) -> Message:
        delivery = read_delivery(message.content)
        state = _state(context)
        run, study = state.get("run-id"), state.get("study")
        if run != delivery.run_id or not isinstance(study, bytes):
            raise EnvelopeError(
                f"estimates of run {delivery.run_id!r} arrived; those of run {run!r} "
                "are expected; nothing was stored"
            )
        desk = open_desk(context, study)
        return Message(reply_content(desk.receive(delivery, study)), reply_to=message)

    return app


def refuse_on_error(
    message: Message, context: Context, call_next: ClientAppCallable
) -> Message:
    """
    A Flower mod that answers with a refusal instead of raising.

    Without it Flower would send the text of the exception to the SuperLink.  The
    detail goes to the site's own log.
    """
    try:
        return call_next(message, context)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - panics of libraries are no Exception
        state = _state(context)
        site, log = state.get("site"), state.get("log")
        if log:
            _log(Path(str(log)), error)
        reply = refusal(error, str(site) if site else None)
        return Message(reply_content(reply), reply_to=message)


def _log(log: Path, error: BaseException) -> None:
    with suppress(OSError):  # a full disk must not become what is sent
        write_detail(log, error)


def _remember(desk: Desk, request: Request) -> ConfigRecord:
    """What the node must know when the next message comes; stays at the node."""
    record = ConfigRecord(
        {"site": desk.site, "run-id": request.run_id, "study": request.study}
    )
    if desk.log is not None:
        record["log"] = str(desk.log)
    return record


def _state(context: Context) -> ConfigRecord:
    return context.state.config_records.get(STATE, ConfigRecord())


app = make_client_app()
