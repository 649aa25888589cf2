"""The gallery's tables, and opening the database that holds them.

SQLite (write-ahead log: readers never wait, writers take turns) or PostgreSQL. What a database
lacks of the tables is added when it is opened, by the steps in ``migrations/``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import JSON, BigInteger, Column, Connection, Engine, Text, event, make_url, text
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlmodel import Field, Session, SQLModel, create_engine

from limner.errors import DataError, MissingExtraError, UsageError, first_line

_WAIT_SECONDS = 30
_LOCK = 7_105_126
"""Number of PostgreSQL's advisory lock for what one process at a time may do."""
_WRITES = "limner_writes"


class GalleryPicture(SQLModel, table=True):
    """A picture of the gallery.

    Attributes:
        id: 32 hex digits that nobody can guess; the file is named after it.
        created: in milliseconds since 1970.
        owner: the user it was drawn for.
        prompt: as it was given.
        words: what is searched: the prompt and what was drawn for it, folded.
        seed: of this very picture.
        model: hash of the model file.
        format: of the file, see :class:`limner.serving.wire.OutputFormat`.
        width: in pixels.
        height: the same.
        bytes: of the file.
        record: the file's own record, see :class:`limner.generation.records.Record`.
        scores: what judges gave it, by their name.
        thumb: of its owner: 1 up, -1 down, 0 none.
        flags: what moderation found in its prompt and in it, see
            :class:`limner.serving.moderation.Flag`.
        sources: training drawings that it was drawn from, see
            :class:`limner.generation.copies.TrainingDrawing`.
    """

    __tablename__ = "picture"

    id: str = Field(primary_key=True, max_length=32)
    created: int = Field(sa_type=BigInteger)
    owner: str = Field(max_length=256)
    prompt: str = Field(sa_type=Text)
    words: str = Field(sa_type=Text)
    seed: int = Field(sa_type=BigInteger)
    model: str = Field(max_length=16)
    format: str = Field(max_length=8)
    width: int
    height: int
    bytes: int = Field(sa_type=BigInteger)
    record: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    scores: dict[str, float] | None = Field(default=None, sa_column=Column(JSON(none_as_null=True)))
    thumb: int = 0
    flags: list[dict[str, str]] = Field(
        default_factory=list, sa_column=Column(JSON, nullable=False)
    )
    sources: list[dict[str, Any]] = Field(
        default_factory=list, sa_column=Column(JSON, nullable=False)
    )


class GalleryChoice(SQLModel, table=True):
    """That a user found one picture better than another; it goes when either goes.

    Attributes:
        number: of the choice.
        created: in milliseconds since 1970.
        better: id of the picture that was chosen.
        worse: id of the other.
    """

    __tablename__ = "choice"

    number: int | None = Field(default=None, primary_key=True)
    created: int = Field(sa_type=BigInteger)
    better: str = Field(foreign_key="picture.id")
    worse: str = Field(foreign_key="picture.id")


class GalleryUsage(SQLModel, table=True):
    """What a user has spent of what their key may ask for.

    Attributes:
        owner: the user.
        what: is counted.
        period: in which, since 1970.
        count: how much.
    """

    __tablename__ = "usage"

    owner: str = Field(primary_key=True, max_length=256)
    what: str = Field(primary_key=True, max_length=16)
    period: int = Field(sa_type=BigInteger)
    count: int = Field(sa_type=BigInteger)


class Database:
    """A database with the gallery's tables.

    Args:
        url: ``sqlite:///FILE`` or ``postgresql://USER:PASSWORD@HOST/NAME``.

    Raises:
        UsageError: the URL is of no database that can be used.
        DataError: it cannot be opened, or its tables are of a newer limner.
        MissingExtraError: PostgreSQL's driver is not installed.
    """

    def __init__(self, url: str) -> None:
        try:
            parsed = make_url(url)
        except ArgumentError as error:
            raise UsageError("the database's URL cannot be read: give postgresql://…") from error
        kind = parsed.get_backend_name()
        if kind not in ("sqlite", "postgresql", "postgres"):
            raise UsageError(f"{kind} is no database that limner uses: give postgresql://…")
        self.sqlite = kind == "sqlite"
        self.name = parsed.render_as_string(hide_password=True)
        driver = "sqlite" if self.sqlite else "postgresql+psycopg"
        options: dict[str, Any] = {"timeout": _WAIT_SECONDS} if self.sqlite else {}
        try:
            self._engine = create_engine(
                parsed.set(drivername=driver), connect_args=options, hide_parameters=True
            )  # errors that are logged do not tell prompts
        except ImportError as error:
            raise MissingExtraError("psycopg", "postgres", "a gallery in PostgreSQL") from error
        if self.sqlite:
            _prepare_sqlite(self._engine)
        self._writer = self._engine.execution_options(**{_WRITES: True})
        self._migrate()

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session that changes nothing."""
        with self._failures(), Session(self._engine) as session:
            yield session

    @contextmanager
    def writing(self, *, alone: bool = False) -> Iterator[Session]:
        """A session whose changes are stored at the end, all or none.

        Args:
            alone: no other process is here at the same time; so with SQLite always.
        """
        with self._failures(), Session(self._writer, expire_on_commit=False) as session:
            if alone:
                self._wait_for_others(session.connection())
            yield session
            session.commit()

    def close(self) -> None:
        """Give back all connections."""
        self._engine.dispose()

    def _wait_for_others(self, connection: Connection) -> None:
        if not self.sqlite:
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            why = first_line(getattr(error, "orig", None) or error)
            raise DataError(f"the gallery's database {self.name} cannot be used: {why}") from error

    def _migrate(self) -> None:
        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        config.set_main_option("path_separator", "os")
        with self._failures(), self._writer.begin() as connection:
            self._wait_for_others(connection)
            config.attributes["connection"] = connection
            try:
                command.upgrade(config, "head")
            except CommandError as error:
                raise DataError(
                    f"the gallery's database {self.name} is of a newer limner; upgrade limner"
                ) from error


def _prepare_sqlite(engine: Engine) -> None:
    """Transactions that begin where they are written to begin, foreign keys, the log."""

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _: object) -> None:
        connection.isolation_level = None  # else the driver begins transactions late, by itself
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA foreign_keys = ON")

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        # A transaction that reads before it writes would fail where another writes in between.
        writes = connection.get_execution_options().get(_WRITES)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
