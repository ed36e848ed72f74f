"""A raw DevTools connection to the whole browser.

WebDriver's own channels miss what workers inside workers fetch and log, so this connection attaches itself to every
target and, recursively, to what each target starts.
"""

import json
import socket
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from contextlib import suppress
from typing import Any, Protocol

import websocket

from agents.faults import AgentError

Parameters = Mapping[str, Any]
_AUTO_ATTACH: Parameters = {"autoAttach": True, "waitForDebuggerOnStart": True, "flatten": True}
_NOT_PAGES: Parameters = {
    "filter": [*({"type": kind, "exclude": True} for kind in ("browser", "tab", "browser_ui")), {}]
}
"""What DevTools leaves out by itself, and Chrome's own address bar: a page of 200 requests, loaded at each start."""
_CONNECT_SECONDS = 10.0
_ANSWER_SECONDS = 10.0


class CdpError(AgentError):
    """DevTools refused a command, or the connection is gone."""


class CdpListener(Protocol):
    """Hears DevTools events; called from the connection's thread, so it must be quick."""

    @property
    def commands(self) -> tuple[tuple[str, Parameters], ...]:
        """What to send to each new target before it runs its first line, such as `Network.enable`."""

    def hear(self, method: str, parameters: Parameters, session: str | None, /) -> None:
        """An event of the target with this session; of the browser itself where it is None."""


class CdpConnection:
    """A websocket to the browser's DevTools endpoint with a thread that reads it."""

    def __init__(self, url: str, listeners: list[CdpListener], on_closed: Callable[[], None]) -> None:
        """Connect; raises `CdpError`. `on_closed` is called when the browser hangs up, not after `close`."""
        self._listeners = listeners
        self._on_closed = on_closed
        self._lock = threading.Lock()
        self._next_id = 0
        self._waiting: dict[int, Future[dict[str, Any]]] = {}
        self._closing = False
        self._pages: list[str] = []
        self._sessions: dict[str, str] = {}
        """The targets of those that may still answer."""
        self._equipping: list[Future[dict[str, Any]]] = []
        try:
            # Without an Origin header: Chrome refuses foreign origins. Its text need not be checked byte by byte, which
            # takes the library 0.1 ms a kilobyte, of a page with many requests more than the page itself needs.
            self._socket = websocket.create_connection(
                url, timeout=_CONNECT_SECONDS, suppress_origin=True, skip_utf8_validation=True
            )
        except (OSError, websocket.WebSocketException) as error:
            raise CdpError(f"DevTools cannot be reached: {error}") from error
        self._socket.settimeout(None)
        self._thread = threading.Thread(target=self._read, name="devtools", daemon=True)
        self._thread.start()

    @property
    def page_session(self) -> str | None:
        """The session of the newest page, None before there is one."""
        return self._pages[-1] if self._pages else None

    def watch_everything(self) -> None:
        """Attach to all targets there are and will be; those there are hear nothing new before they are equipped.

        A page that is opened while its equipment is still under way loads its first files unseen.
        """
        # Both on their way at once: a browser that has just started takes its time over each.
        answers = [
            self.ask("Target.setDiscoverTargets", {"discover": True}),
            self.ask("Target.setAutoAttach", {**_AUTO_ATTACH, **_NOT_PAGES}),
        ]
        for answer in answers:
            _await(answer, "the wish to attach")
        # The targets there are were told before the answer came.
        if wait(self._equipping, _ANSWER_SECONDS).not_done:
            raise CdpError(f"DevTools did not equip the browser's page within {_ANSWER_SECONDS:.0f} s")
        self._equipping.clear()

    def call(
        self,
        method: str,
        parameters: Parameters | None = None,
        *,
        session: str | None = None,
        timeout_s: float = _ANSWER_SECONDS,
    ) -> dict[str, Any]:
        """Send a command and wait for its answer; raises `CdpError`. Not from the connection's own thread."""
        return _await(self.ask(method, parameters, session=session), method, timeout_s)

    def ask(
        self, method: str, parameters: Parameters | None = None, *, session: str | None = None
    ) -> Future[dict[str, Any]]:
        """Send a command; its answer, or a `CdpError`, comes later."""
        answer: Future[dict[str, Any]] = Future()
        self._send(method, parameters or {}, session, answer)
        return answer

    def catch_up(self, timeout_s: float) -> None:
        """Hear what every target that lives has said until now; one that is busy is waited for no longer than that."""
        with suppress(CdpError):
            # A target answers after what it said before.
            probe = {"expression": "0"}
            wait([self.ask("Runtime.evaluate", probe, session=one) for one in tuple(self._sessions)], timeout_s)

    def close(self) -> None:
        self._closing = True
        # The library forgets its socket once the browser has hung up.
        with suppress(OSError):
            if self._socket.sock is not None:
                # Closing alone would not wake the thread that reads.
                self._socket.sock.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.shutdown()  # type: ignore[no-untyped-call]  # websocket-client is untyped here

    def _send(
        self, method: str, parameters: Parameters, session: str | None, answer: Future[dict[str, Any]] | None = None
    ) -> None:
        with self._lock:
            self._next_id += 1
            message: dict[str, Any] = {"id": self._next_id, "method": method, "params": parameters}
            if session is not None:
                message["sessionId"] = session
            if answer is not None:
                self._waiting[self._next_id] = answer
            try:
                self._socket.send(json.dumps(message))
            except (OSError, websocket.WebSocketException) as error:
                raise CdpError(f"DevTools is gone: {error}") from error

    def _read(self) -> None:
        try:
            while True:
                text = self._socket.recv()
                if not text:
                    break
                self._dispatch(json.loads(text))
        except (OSError, websocket.WebSocketException, CdpError):
            pass
        with self._lock:
            waiting, self._waiting = self._waiting, {}
        for answer in waiting.values():
            answer.set_exception(CdpError("DevTools is gone"))
        if not self._closing:
            self._on_closed()

    def _dispatch(self, message: dict[str, Any]) -> None:
        if "id" in message:
            with self._lock:
                answer = self._waiting.pop(message["id"], None)
            if answer is not None and "error" in message:
                answer.set_exception(CdpError(str(message["error"].get("message"))))
            elif answer is not None:
                answer.set_result(message.get("result", {}))
            return
        method, parameters, session = message["method"], message.get("params", {}), message.get("sessionId")
        if method == "Target.attachedToTarget":
            self._sessions[parameters["sessionId"]] = parameters["targetInfo"]["targetId"]
            self._prepare(parameters["sessionId"], parameters["targetInfo"]["type"])
        elif method == "Target.detachedFromTarget":
            self._sessions.pop(parameters["sessionId"], None)
        elif method == "Target.targetCrashed":
            crashed = parameters["targetId"]
            self._sessions = {one: target for one, target in self._sessions.items() if target != crashed}
        for listener in self._listeners:
            listener.hear(method, parameters, session)

    def _prepare(self, session: str, target_type: str) -> None:
        """Equip a target that waits for its debugger, then let it run."""
        commands = [command for listener in self._listeners for command in listener.commands]
        commands += [("Target.setAutoAttach", _AUTO_ATTACH), ("Runtime.runIfWaitingForDebugger", {})]
        answers = [Future[dict[str, Any]]() for _ in commands]
        if target_type == "page":
            self._pages.append(session)
            self._equipping += answers
        for (method, parameters), answer in zip(commands, answers, strict=True):
            self._send(method, parameters, session, answer)


def _await(answer: Future[dict[str, Any]], what: str, timeout_s: float = _ANSWER_SECONDS) -> dict[str, Any]:
    try:
        return answer.result(timeout_s)
    except TimeoutError as error:
        raise CdpError(f"DevTools did not answer {what} within {timeout_s:.0f} s") from error
