"""Optuna's dashboard on a study's storage."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from sclandmarks.errors import StudyError
from sclandmarks.tune.find import find_plan
from sclandmarks.tune.storage import check_there, open_store, without_password

LOOPBACK = ("127.0.0.1", "localhost", "::1")

_log = logging.getLogger(__name__)


def serve_dashboard(name: str | None, storage: str | None, host: str, port: int, say: Callable[[str], object]) -> None:
    """Serve the dashboard until it is stopped.

    Parameters
    ----------
    name : str, optional
        Of a study whose storage is shown.
    storage : str, optional
        Address of a storage, where no study is named.
    host : str
        Where it listens. The dashboard asks for no password.
    port : int
    say : callable
        Gets the address.

    Raises
    ------
    StudyError
        If there is no such study or storage, or the port is taken.
    """
    from optuna_dashboard import run_server

    url = storage or find_plan(name or "", None).storage
    check_there(url)
    store = open_store(url, name or "", Path())
    _check_port(host, port)
    if host not in LOOPBACK:
        _log.warning(
            "everyone who reaches %s:%d can change and delete studies: the dashboard asks no password", host, port
        )
    say(f"Optuna dashboard of {without_password(url)}: http://{host}:{port} (Ctrl-C ends it)")
    run_server(store.storage, host=host, port=port)


def _check_port(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with closing(socket.socket(family, socket.SOCK_STREAM)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise StudyError(f"a free port {port} on {host}", str(error), "Give another --port or --host.") from error
