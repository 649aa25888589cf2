"""The gallery's files and rows: whole after any death, found again, nobody else's."""

from __future__ import annotations

import getpass
import os
import random
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from limner.errors import DataError, LimnerError, UsageError
from limner.generation.drawn_from import Grounding
from limner.generation.records import read_record
from limner.serving.gallery import Gallery, cursor_of
from limner.serving.gallery_links import SignedLinks
from limner.serving.gallery_tables import Database
from serving.gallery_writer import kept, start_writer
from waiting import LONGEST

pytest.importorskip("resource")

from crashes import killed_at, stopped_within

POSTGRES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a real server's empty database."""
    pytest.importorskip("psycopg")
    if not POSTGRES:
        pytest.skip("PostgreSQL is not installed")
    if os.name == "nt":
        pytest.skip("PostgreSQL is started as Debian lays it out")
    # It refuses to run as root, and its socket's path must be short.
    user = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
    folder = Path(subprocess.check_output([*user, "mktemp", "-d"], text=True).strip())
    data, control = str(folder / "data"), str(POSTGRES[-1] / "pg_ctl")

    def ask(*command: str) -> None:
        subprocess.run([*user, control, *command, "-D", data], check=True, cwd="/",
                       stdout=subprocess.DEVNULL)  # fmt: skip

    ask("initdb", "-o", "-A trust -N")
    options = f"-k {folder} -c listen_addresses='' -F"
    ask("start", "-w", "-o", options, "-l", str(folder / "log"))
    name = "postgres" if user else getpass.getuser()
    folder.chmod(0o755)
    yield f"postgresql://{name}@/postgres?host={folder}"
    ask("stop", "-m", "immediate")
    shutil.rmtree(folder)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Iterator[str | None]:
    """Where a gallery has its rows: in its folder, or in an empty database of PostgreSQL."""
    if request.param == "sqlite":
        yield None
        return
    import psycopg

    url = request.getfixturevalue("postgres")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    yield url


@pytest.fixture
def gallery(tmp_path: Path, database: str | None) -> Iterator[Gallery]:
    opened = Gallery(tmp_path / "gallery", database)
    yield opened
    opened.close()


def files_of(gallery: Gallery) -> set[str]:
    return {path.stem for path in gallery.files.glob("*/*")}


def test_a_picture_is_found_with_all_that_is_known_of_it(gallery):
    words = Grounding(phrase="labrador", drawn="dog", similarity=0.5)
    before = time.time_ns() // 10**6
    row = kept(gallery, "labrador", 2**63 - 1, drawn_from=(words,))
    again = gallery.get(row.id)
    assert again == row
    assert read_record(gallery.path(again)).seed == again.seed == 2**63 - 1
    assert again.record["drawn_from"][0]["drawn"] == "dog"
    assert gallery.read(again) == gallery.path(row).read_bytes()
    assert (again.width, again.height, again.bytes) == (8, 8, len(gallery.read(again)))
    assert before <= again.created <= time.time_ns() // 10**6


@pytest.mark.parametrize(("query", "found"), [
    ("FOX", {1}), ("snow fox", {1}), ("狐狸", {2}), ("雪地", {2}), ("лиса", {3}), ("straße", {4}),
    ("STRASSE", {4}), ("100%", {5}), ("%", {5}), ("_", set()), ("", {1, 2, 3, 4, 5}),
    ("fox лиса", set()), ("ox", {1}), ("dog", set()), ("' OR 1=1", set()), ("\\", set()),
])  # fmt: skip
def test_words_in_any_language(gallery, query, found):
    prompts = ("a Fox in the snow", "雪地里的狐狸", "Лиса", "eine Straße", "100% wool")
    for seed, prompt in enumerate(prompts, 1):
        kept(gallery, prompt, seed)
    assert {row.seed for row in gallery.find("ann", query=query)} == found


def test_what_was_drawn_for_a_word_is_found(gallery):
    words = Grounding(phrase="labrador", drawn="dog", similarity=0.5)
    kept(gallery, "labrador", 1, drawn_from=(words,))
    assert [row.seed for row in gallery.find(query="dog")] == [1]


def test_pages_hold_every_picture_once_also_while_others_are_drawn(gallery, monkeypatch):
    moment = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: moment)  # all in one millisecond
    for seed in range(7):
        kept(gallery, "a cat", seed)
    seen, cursor = [], None
    while page := gallery.find(cursor=cursor, limit=3):
        seen += [row.seed for row in page]
        cursor = cursor_of(page[-1])
        monkeypatch.setattr(time, "time_ns", lambda: moment + 10**9)
        kept(gallery, "a newer one", 100)
    assert sorted(seen) == list(range(7))


def test_nobody_sees_what_is_anothers(gallery):
    row = kept(gallery, "a cat", owner="ann")
    assert gallery.find("bob") == []
    with pytest.raises(UsageError, match="no such picture"):
        gallery.get(row.id, "bob")
    assert gallery.get(row.id, "ann").id == row.id


@pytest.mark.parametrize("name", [
    "", "../gallery.sqlite", "..%2f..", "/etc/passwd", "0" * 31, "0" * 33, "G" * 32, "\0" * 32,
    "0" * 32, "' OR 1=1 --", "٠" * 32, "0" * 32 + "\n",
])  # fmt: skip
def test_ids_that_are_none(gallery, name):
    kept(gallery, "a cat")
    with pytest.raises(UsageError, match="no such picture"):
        gallery.get(name)


def test_ids_have_nothing_in_common(tmp_path):
    gallery = Gallery(tmp_path)
    names = [kept(gallery, "a cat", 1).id for _ in range(200)]
    assert len({name[:8] for name in names}) == 200 == len({name[-8:] for name in names})


def test_a_file_that_is_gone_or_cut_short_is_not_shown(gallery):
    cut, gone = kept(gallery, "a cat", 1), kept(gallery, "a cat", 2)
    gallery.path(cut).write_bytes(gallery.read(cut)[:-1])
    gallery.path(gone).unlink()
    for row in (cut, gone):
        with pytest.raises(DataError, match="not in the gallery any more"):
            gallery.read(row)
    whole = kept(gallery, "a cat", 3)
    assert gallery.sweep(0) == (0, 2)
    assert [row.id for row in gallery.all()] == [whole.id]
    assert files_of(gallery) == {whole.id}


def test_a_sweep_removes_only_what_the_gallery_has_left(gallery):
    row = kept(gallery, "a cat")
    folder = gallery.path(row).parent
    left = [folder / name for name in (f"{'0' * 32}.png", f".{'0' * 12}-{'1' * 12}.part")]
    others = [folder / name for name in ("holiday.png", "notes.txt", ".hidden")]
    for path in left + others:
        path.write_bytes(b"x")
    assert gallery.sweep() == (0, 0)  # a writer may be at work
    assert gallery.sweep(0) == (2, 0)
    assert all(path.exists() for path in others) and gallery.path(row).exists()


def test_retention(gallery, monkeypatch):
    now = time.time_ns()
    for seed, days in enumerate((9, 5, 2, 1)):
        monkeypatch.setattr(time, "time_ns", lambda days=days: now - days * 86_400 * 10**9)
        kept(gallery, "a cat", seed)
    assert gallery.prune() == 0
    assert gallery.prune(keep_days=7, keep_bytes=10**9) == 1
    assert [row.seed for row in gallery.all()] == [3, 2, 1]
    assert gallery.prune(keep_bytes=sum(row.bytes for row in gallery.all()) - 1) >= 1
    assert gallery.find()[0].seed == 3
    assert files_of(gallery) == {row.id for row in gallery.all()}
    assert gallery.prune(keep_bytes=0) == len({3, 2}) and not files_of(gallery)


def test_killed_at_random_moments_it_is_whole(gallery, database):
    times, moments, folder = 20, random.Random(5), gallery.files.parent
    for _ in range(times):
        process, writes = start_writer(folder, database)
        assert writes.wait(LONGEST)
        time.sleep(moments.uniform(0.0, 0.3))
        process.kill()
        process.join()
    for row in gallery.all():  # what is shown is whole, before anything is swept
        assert read_record(gallery.path(row)).seed == row.seed
    stale, broken = gallery.sweep(0)
    assert (broken, stale <= times) == (0, True)
    rows = {row.id for row in gallery.all()}
    assert files_of(gallery) == rows and len(rows) > times


@pytest.mark.parametrize("stop", [killed_at, stopped_within])
def test_killed_at_any_change_of_a_file_it_is_whole(tmp_path, stop):
    """A gallery of one picture, where another is added and the first removed."""
    folder = tmp_path / "gallery"

    def work() -> None:
        gallery = Gallery(folder)
        kept(gallery, "a dog", 2, side=64)
        gallery.remove(gallery.find(query="cat"))
        gallery.close()

    for number in range(100) if stop is killed_at else (0, 60, 200, 600, 40_000, 10**6):
        gallery = Gallery(folder)
        kept(gallery, "a cat", 1)
        gallery.close()
        dead = stop(number, work)
        gallery = Gallery(folder)
        rows = list(gallery.all())
        assert all(read_record(gallery.path(row)).seed == row.seed for row in rows)
        assert {row.prompt for row in rows} in ({"a cat"}, {"a cat", "a dog"}, {"a dog"})
        assert gallery.sweep(0)[1] == 0 and files_of(gallery) == {row.id for row in rows}
        gallery.close()
        shutil.rmtree(folder)
        if not dead:
            break
    else:
        pytest.fail("it never came to its end")
    assert {row.prompt for row in rows} == {"a dog"}


def test_two_processes_write_one_gallery(gallery, database):
    writers = [start_writer(gallery.files.parent, database, 50) for _ in range(2)]
    for seed in range(20):
        kept(gallery, "a dog", seed)
    gallery.sweep()
    for writer, _ in writers:
        writer.join()
    rows = list(gallery.all())
    assert len(rows) == 120 == len(files_of(gallery))
    assert sum(row.prompt == "a cat" for row in rows) == 100


def test_two_processes_make_one_gallery(tmp_path, database):
    writers = [start_writer(tmp_path / "new", database, 3) for _ in range(2)]
    for writer, _ in writers:
        writer.join()
    assert len(list(Gallery(tmp_path / "new", database).all())) == 6


def test_a_gallery_made_by_another_process_while_it_is_opened(tmp_path, database, monkeypatch):
    folder, reading = tmp_path / "new", Database.reading

    def slow(rows):
        monkeypatch.undo()
        kept(Gallery(folder, database), "a cat")
        return reading(rows)

    monkeypatch.setattr(Database, "reading", slow)
    assert [row.prompt for row in Gallery(folder, database).all()] == ["a cat"]


def test_the_rows_of_files_that_are_elsewhere_are_not_thrown_away(gallery, database, tmp_path):
    kept(gallery, "a cat")
    gallery.files.rename(tmp_path / "moved")
    with pytest.raises(DataError, match="name the folder that holds them"):
        Gallery(gallery.files.parent, database)
    (tmp_path / "moved").rename(gallery.files)
    assert len(Gallery(gallery.files.parent, database).find()) == 1


@pytest.mark.parametrize("url", [
    "mysql://x/y", "nothing", "postgresql://localhost:1/none", "sqlite:////no/such/folder/x",
])  # fmt: skip
def test_databases_that_cannot_be(tmp_path, url):
    with pytest.raises(LimnerError):
        Gallery(tmp_path, url)


def test_a_database_of_a_newer_limner_is_left_alone(tmp_path):
    Gallery(tmp_path).close()
    with sqlite3.connect(tmp_path / "gallery.sqlite") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '999'")
    with pytest.raises(DataError, match="newer limner"):
        Gallery(tmp_path)


def test_a_password_is_not_told():
    with pytest.raises(DataError, match="cannot be used") as failure:
        Gallery(Path(os.devnull).parent / "shm", "postgresql://ann:secret@localhost:1/none")
    assert "secret" not in str(failure.value)


def test_a_gallery_of_an_older_limner_is_brought_up_to_date(tmp_path):
    with sqlite3.connect(tmp_path / "gallery.sqlite") as connection:
        connection.executescript(Path(__file__).with_name("gallery-v1.sql").read_text("utf-8"))
    connection.close()
    (tmp_path / "files").mkdir()
    gallery = Gallery(tmp_path)
    fox, cat = gallery.find()
    assert [(row.prompt, row.seed, row.owner, row.thumb) for row in (fox, cat)] == [
        ("雪地里的狐狸", 8, "bob", 0), ("a cat", 7, "ann", 0),
    ]  # fmt: skip
    gallery.judge(cat, 1)
    gallery.choose(cat, fox)
    again = Gallery(tmp_path)
    assert [row.id for row in again.find(liked=True)] == [cat.id]
    assert again.choices() == [(cat.id, fox.id)]


def test_the_tables_are_those_that_the_migrations_make(database, tmp_path):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext
    from sqlalchemy import create_engine
    from sqlmodel import SQLModel

    Gallery(tmp_path, database).close()
    url = (database or f"sqlite:///{tmp_path / 'gallery.sqlite'}").replace(
        "postgresql:", "postgresql+psycopg:"
    )
    with create_engine(url).connect() as connection:
        found = compare_metadata(MigrationContext.configure(connection), SQLModel.metadata)
    # Indexes and what happens on deletion are the migrations' alone.
    kinds = {each[0] if isinstance(each, tuple) else each[0][0] for each in found}
    assert kinds <= {"remove_index", "remove_fk", "add_fk"}, found


def test_what_is_liked_stays_longest(gallery, monkeypatch):
    now = time.time_ns()
    rows = []
    for seed, days in enumerate((9, 8, 1)):
        monkeypatch.setattr(time, "time_ns", lambda days=days: now - days * 86_400 * 10**9)
        rows.append(kept(gallery, "a cat", seed))
    gallery.judge(rows[0], 1)
    assert gallery.prune(keep_days=7) == 1
    assert [row.seed for row in gallery.all()] == [2, 0]
    assert gallery.prune(keep_bytes=rows[0].bytes) == 1
    assert [row.seed for row in gallery.all()] == [0]


def test_choices_go_with_their_pictures(gallery):
    one, two, three = (kept(gallery, "a cat", seed) for seed in range(3))
    gallery.choose(one, two)
    gallery.choose(three, one)
    with pytest.raises(UsageError, match="name two pictures"):
        gallery.choose(one, one)
    gallery.remove([two])
    assert gallery.choices() == [(three.id, one.id)]


def test_what_looks_alike_is_found(tmp_path):
    gallery = Gallery(tmp_path)
    for seed in (3, 40):
        kept(gallery, "a plain colour", seed, side=64)
    kept(gallery, "of somebody else", 4, owner="bob", side=64)
    like = kept(gallery, "the same", 41, side=64)
    found = gallery.similar(gallery.path(like), "ann", limit=2)
    assert [row.seed for row in found] == [41, 40]


def test_links_expire_and_cannot_be_made(tmp_path, monkeypatch):
    one, two = SignedLinks(tmp_path / "key"), SignedLinks(tmp_path / "key")
    name = one.name("a" * 32, ".png", 60)
    assert two.picture(name) == "a" * 32
    later = f"{int(time.time()) + 10**6:x}"
    picture, until, *_ = name.split(".")
    for forged in (
        name.replace(until, later), name.replace("a" * 32, "b" * 32), f"{picture}.{until}..png",
        name[:-5] + "png", SignedLinks(tmp_path / "other").name("a" * 32, ".png", 60), "", "..",
    ):  # fmt: skip
        assert one.picture(forged) is None
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 61)
    assert one.picture(name) is None
