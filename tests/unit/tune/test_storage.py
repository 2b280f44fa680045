"""Where studies are kept: addresses, refusals, servers that are away."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import optuna
import pytest
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import TrialState
from postgres_server import Server, find_postgres, server
from quick_study import Quick, quick_plan
from sqlalchemy.exc import OperationalError
from study_audit import audit

from sclandmarks.errors import ParamsError, StudyError
from sclandmarks.tune import patience
from sclandmarks.tune.find import find_plan
from sclandmarks.tune.loop import Timing
from sclandmarks.tune.patience import Patient, first_line, is_outage, wait_for
from sclandmarks.tune.storage import check_there, open_store, password, serve, without_password
from sclandmarks.tune.worker import run_worker

FAST = Timing(poll=0.02, patience=30.0)
SECRET = "s3cret@word"  # noqa: S105


@pytest.fixture(scope="module")
def postgres() -> Iterator[Server]:
    binaries, reason = find_postgres()
    if binaries is None:
        pytest.skip(reason)
    with server() as started:
        yield started


def away(message: str = "connection refused") -> StorageInternalError:
    """As Optuna raises it when its server is away."""
    error = StorageInternalError("An exception is raised during the commit.")
    error.__cause__ = OperationalError("SELECT 1", {}, Exception(message))
    return error


def test_sqlite_is_refused_for_several_workers_with_the_reason(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'study.db'}"
    with pytest.raises(ParamsError, match=r"locks the whole file.*postgresql"):
        open_store(url, "s", tmp_path, workers=2)
    plan = quick_plan(tmp_path, trials=3, workers=1, storage=url)
    run_worker(plan, Quick(), None, timing=FAST)
    assert audit(plan).complete == 3


def test_a_file_that_is_no_sqlite_is_an_error_for_users(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("a: 1\n" * 300)
    for name in ("params.yaml", "absent/study.db"):
        with pytest.raises(StudyError, match=r"expected an SQLite file .*Mend --storage"):
            open_store(f"sqlite:///{tmp_path / name}", "s", tmp_path)


def test_who_only_looks_makes_no_file(tmp_path: Path) -> None:
    for url in (
        f"sqlite:///{tmp_path / 'a.db'}",
        f"sqlite:///{tmp_path / 'a.db'}?mode=rw",
        f"journal:{tmp_path}/a.log",
    ):
        with pytest.raises(StudyError, match="which is not"):
            check_there(url)
        with pytest.raises(StudyError, match="which is not"):
            find_plan("s", url)
    assert not list(tmp_path.iterdir())
    check_there("postgresql://host/db")
    (tmp_path / "a.log").touch()
    check_there(f"journal:{tmp_path}/a.log")


@pytest.mark.parametrize("url", ["postgresql://me:s3@cret/wo@host:1x/db", "postgresql://me:s3@cret@host/db"])
def test_a_password_with_bare_signs_is_not_shown(tmp_path: Path, url: str) -> None:
    assert "cret" not in without_password(url)
    with pytest.raises(ParamsError, match="%40") as caught:
        open_store(url, "s", tmp_path)
    assert "cret" not in str(caught.value)


@pytest.mark.parametrize("url", ["mysql://h/d", "redis://h", "state/journal.log", "grpc://h", "grpc://h:port"])
def test_an_unknown_address_is_refused_with_those_that_are_known(tmp_path: Path, url: str) -> None:
    with pytest.raises(ParamsError, match="expected"):
        open_store(url, "s", tmp_path)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:s3cret%40word@host:5432/db", "postgresql://me@host:5432/db"),
        ("postgresql://host/db?password=s3cret%40word&a=b", "postgresql://host/db?a=b"),
        ("postgresql://me:s3cret@word@host:port/db", "postgresql://..."),
        ("journal:state/tune/a/journal.log", "journal:state/tune/a/journal.log"),
        ("grpc://host:13000", "grpc://host:13000"),
    ],
)
def test_an_address_is_shown_without_its_password(url: str, shown: str) -> None:
    assert without_password(url) == shown
    assert "s3cret" not in without_password(url)


def test_workers_get_the_password_apart() -> None:
    assert password("postgresql://me:s3cret%40word@host/db") == SECRET
    assert password("postgresql://host/db?password=s3cret%40word") == SECRET
    assert password("postgresql://host/db") is None
    assert password("journal:a") is None


def test_an_address_that_cannot_be_read_is_not_repeated_in_the_error(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="cannot be read") as caught:
        open_store("postgresql://me:s3cret@word@host:port/db", "s", tmp_path)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (SECRET.replace("@", "%40"), "wr0ng", "password authentication failed"),
        ("/postgres", "/absent", 'database "absent" does not exist'),
        ("127.0.0.1:", "127.0.0.1:1", "refused|invalid"),
    ],
)
def test_a_server_that_does_not_open_is_a_plain_error_without_the_password(
    tmp_path: Path, postgres: Server, old: str, new: str, says: str
) -> None:
    url = postgres.url.replace(old, new) if "127" not in old else "postgresql://me:wr0ng@127.0.0.1:9/db"
    with pytest.raises(StudyError, match=says) as caught:
        open_store(url, "s", tmp_path, first=0.5)
    assert "s3cret" not in str(caught.value)
    assert "wr0ng" not in str(caught.value)


def test_tables_of_another_version_are_refused(tmp_path: Path, postgres: Server) -> None:
    import psycopg

    open_store(postgres.url, "s", tmp_path)
    with psycopg.connect(postgres.url) as connection:
        (version,) = connection.execute("SELECT version_num FROM alembic_version").fetchone() or ("",)
        connection.execute("UPDATE alembic_version SET version_num = 'v99.0.0'")
        connection.commit()
        try:
            with pytest.raises(StudyError, match="expected tables of Optuna"):
                open_store(postgres.url, "s", tmp_path)
        finally:
            connection.execute("UPDATE alembic_version SET version_num = %s", (version,))


def test_no_password_is_written_beside_the_study_or_into_it(tmp_path: Path, postgres: Server) -> None:
    from sclandmarks.tune.study import open_study

    room = open_study(quick_plan(tmp_path, storage=postgres.url, name="secret"))
    written = "".join(str(value) for value in room.study.user_attrs.values())
    assert "s3cret" not in written
    assert "postgresql://tuner@127.0.0.1" in written


def test_a_claim_on_postgresql_is_held_by_one_at_a_time(tmp_path: Path, postgres: Server) -> None:
    stores = [open_store(postgres.url, "s", tmp_path / str(n)) for n in range(2)]
    order: list[str] = []
    with stores[0].claim():
        other = threading.Thread(target=_claim, args=(stores[1], order))
        other.start()
        other.join(0.3)
        order.append("first")
    other.join()
    assert order == ["first", "second"]


def _claim(store: object, order: list[str]) -> None:
    with store.claim():  # type: ignore[attr-defined]
        order.append("second")


def test_workers_behind_the_proxy_share_a_postgresql(
    tmp_path: Path, postgres: Server, reserve_port: Callable[[], int]
) -> None:
    from optuna.storages._grpc.server import make_server

    port = reserve_port()
    proxy = make_server(open_store(postgres.url, "proxy", tmp_path).storage, "127.0.0.1", port)
    proxy.start()
    try:
        plan = quick_plan(tmp_path, trials=4, storage=f"grpc://127.0.0.1:{port}", name="proxy")
        assert run_worker(plan, Quick(), None, timing=FAST) == "over"
        found = audit(plan)
    finally:
        proxy.stop(None)
    assert (found.complete, found.lost, found.twice, found.hanging) == (4, 0, 0, 0)


def test_a_proxy_that_is_not_there_is_a_plain_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sclandmarks.tune.storage.CONNECT", 0.2)
    with pytest.raises(StudyError, match=r"a proxy at 127\.0\.0\.1:9"):
        open_store("grpc://127.0.0.1:9", "s", tmp_path)


def test_the_proxy_serves_postgresql_alone_and_on_loopback(monkeypatch: pytest.MonkeyPatch, postgres: Server) -> None:
    with pytest.raises(ParamsError, match="Give workers that storage itself"):
        serve("journal:a")
    served: list[dict[str, object]] = []
    monkeypatch.setattr(optuna.storages, "run_grpc_proxy_server", lambda storage, **place: served.append(place))
    serve(postgres.url)
    assert served == [{"host": "127.0.0.1", "port": 13000}]


def test_a_port_that_is_taken_is_a_plain_error(postgres: Server) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ParamsError, match="a free port"):
            serve(postgres.url, port=taken.getsockname()[1])


def test_launched_workers_reach_a_server_that_wants_a_password(tmp_path: Path, postgres: Server) -> None:
    from quick_launch import QUICK_TIMING
    from quick_study import COMMAND

    from sclandmarks.tune.launcher import launch
    from sclandmarks.tune.slots import Slot

    plan = quick_plan(tmp_path, trials=2, storage=postgres.url, name="launched")
    assert launch(plan, None, [Slot(0)], lambda: None, COMMAND, QUICK_TIMING) == "over"
    assert audit(plan).complete == 2
    for file in tmp_path.rglob("*"):
        assert file.is_dir() or b"s3cret" not in file.read_bytes(), file


def test_calls_wait_while_the_server_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "FIRST", 0.001)
    answers = iter([away(), away("terminating connection due to administrator command"), None])

    def call() -> str:
        if (error := next(answers)) is not None:
            raise error
        return "back"

    assert wait_for(call, patience=60) == "back"


def test_a_server_that_stays_away_ends_the_wait_with_a_plain_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "FIRST", 0.01)

    def call() -> None:
        raise away()

    with pytest.raises(StudyError, match=r"connection refused, 0 s long\. Start the server again"):
        wait_for(call, patience=0.02)


@pytest.mark.parametrize("message", ["password authentication failed", 'role "x" does not exist'])
def test_what_waiting_cannot_mend_passes_through(message: str) -> None:
    error = away(message)
    assert not is_outage(error)
    assert first_line(error) == message
    assert not is_outage(ValueError("no"))


class Forgetful(InMemoryStorage):
    """Does what it is told once, then loses the answer."""

    def __init__(self) -> None:
        super().__init__()
        self.lost = True

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: object = None) -> bool:
        done = super().set_trial_state_values(trial_id, state, values)  # type: ignore[arg-type]
        if self.lost:
            self.lost = False
            raise away()
        return done


def test_a_state_whose_answer_was_lost_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "FIRST", 0.001)
    storage = Patient(Forgetful(), 60)
    study = storage.create_new_study([StudyDirection.MINIMIZE], "s")
    trial = storage.create_new_trial(study)
    assert storage.set_trial_state_values(trial, TrialState.COMPLETE, [1.0])
    assert storage.get_trial(trial).values == [1.0]
    with pytest.raises(UpdateFinishedTrialError):
        storage.set_trial_state_values(trial, TrialState.COMPLETE, [2.0])
