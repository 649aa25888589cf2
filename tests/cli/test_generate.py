from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from limner.errors import DataError
from limner.generation.records import read_record
from limner.tensorfile import file_hash
from tiny_models import SIZE, save_tiny


@pytest.fixture
def draw(cli, tiny_model):
    """``limner generate`` with the tiny model."""
    return lambda *args, **more: cli("generate", *args, "--model", tiny_model, **more)


def test_one_prompt_one_named_picture(draw, tmp_path):
    result = draw("A red heart", "--seed", "42")
    assert (result.code, result.out, result.err) == (0, "a-red-heart-42.png\n", "")
    with Image.open(tmp_path / "a-red-heart-42.png") as image:
        assert image.size == (SIZE, SIZE)
    assert draw("A red heart", "--seed", "42").out == "a-red-heart-42-1.png\n"
    assert draw("A red heart", "--seed", "42").out == "a-red-heart-42-2.png\n"
    assert len(list(tmp_path.iterdir())) == 3


def test_unseeded_names_tell_the_seed(draw, tmp_path):
    name = draw("一只小狗").out.strip()
    assert name == f"一只小狗-{read_record(tmp_path / name).seed}.png"


def test_exact_name(draw, tmp_path):
    for seed in ("1", "2"):
        assert draw("a cat", "--seed", seed, "--out", "new/x.png").out == "new/x.png\n"
    assert read_record(tmp_path / "new" / "x.png").seed == 2


def test_a_folder_in_order_with_a_manifest(draw, tmp_path):
    result = draw("a cat", "小狗", "--n", "2", "--seed", "7", "--out", "many")
    names = [f"many/{i:04d}.png" for i in range(4)]
    assert result.out.splitlines() == names
    seen = [(read_record(tmp_path / n).prompt, read_record(tmp_path / n).seed) for n in names]
    assert seen == [("a cat", 7), ("a cat", 8), ("小狗", 7), ("小狗", 8)]
    lines = (tmp_path / "many" / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["path"] for line in lines] == [f"{i:04d}.png" for i in range(4)]


def test_a_full_folder_is_left_alone(draw, refused, tmp_path):
    draw("a cat", "--seed", "1", "--out", "many/")
    before = (tmp_path / "many" / "0000.png").read_bytes()
    assert refused(draw("a dog", "--seed", "1", "--out", "many/"), "already holds")
    assert (tmp_path / "many" / "0000.png").read_bytes() == before


def test_contact_sheets(draw, tmp_path):
    result = draw("a cat", "--n", "4", "--seed", "7", "--grid")
    assert result.out == "a-cat-7-grid.png\n"
    with Image.open(tmp_path / "a-cat-7-grid.png") as image:
        assert image.size == (2 * SIZE + 12, 2 * SIZE + 12)
        assert image.info["parameters"].startswith("a cat | Seed: 7\na cat | Seed: 8\n")
    assert draw("a cat", "--n", "4", "--grid", "--out", "sheet.png").out == "sheet.png\n"
    result = draw("a cat", "--n", "2", "--grid", "--out", "all/")
    assert result.out.splitlines() == ["all/0000.png", "all/0001.png", "all/grid.png"]


@pytest.mark.parametrize("more", [(), ("--captions",)])
@pytest.mark.parametrize("ending", ["png", "webp"])
def test_a_sheet_is_drawn_again_as_a_whole(draw, cli, tiny_model, tmp_path, more, ending):
    name = f"sheet.{ending}"
    assert (
        draw("a cat", "小狗", "--n", "2", "--seed", "7", "--grid", "--out", name, *more).code == 0
    )
    result = cli("replay", name, "--out", f"again.{ending}", "--model", tiny_model)
    assert (result.code, result.out, result.err) == (0, f"again.{ending}\n", "")
    assert (tmp_path / f"again.{ending}").read_bytes() == (tmp_path / name).read_bytes()
    with pytest.raises(DataError, match="contact sheet of 4 pictures"):
        read_record(tmp_path / name)
    with Image.open(tmp_path / name) as image:
        assert image.height == 2 * SIZE + 12 + (56 if more else 0)


def test_captions_need_a_sheet(draw, refused):
    assert refused(draw("a cat", "--captions"), "add --grid")


def test_a_sheet_of_too_many_is_refused_early(draw, refused, tmp_path):
    assert refused(draw("a cat", "-q", "--n", "10000000", "--grid"), "ask for fewer pictures")
    assert list(tmp_path.iterdir()) == []


def test_a_name_of_255_bytes(draw, tmp_path):
    name = "狗" * 83 + "xx.png"
    assert draw("a cat", "--seed", "1", "--out", name).out == f"{name}\n"
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_json(draw, tiny_model):
    result = draw("小狗", "a cat, NOTO style", "--seed", "3", "--json")
    entries = json.loads(result.out)
    assert entries[0] == {
        "path": "小狗-3.png", "prompt": "小狗", "seed": 3, "model": file_hash(tiny_model)
    }  # fmt: skip
    assert entries[1]["style"] == "noto"
    sheet = json.loads(draw("a cat", "--n", "2", "--seed", "3", "--grid", "--json").out)
    assert [p["seed"] for p in sheet[0]["pictures"]] == [3, 4]


LIST = "\ufeffa cat\r\n\r\n   \n小狗 \n🚀".encode()


@pytest.mark.parametrize("stdin", [True, False])
def test_prompts_from_a_list(draw, tmp_path, stdin):
    (tmp_path / "list.txt").write_bytes(LIST)
    result = draw("--from", "-" if stdin else "list.txt", "--out", "many/", stdin=LIST)
    assert result.code == 0
    lines = (tmp_path / "many" / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
    entries = [json.loads(line) for line in lines]
    assert [(e["path"], e["line"], e["prompt"]) for e in entries] == [
        ("0000.png", 1, "a cat"), ("0001.png", 4, "小狗"), ("0002.png", 5, "🚀")]  # fmt: skip


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"a cat\ra dog\r\r\xe5\xb0\x8f", [(1, "a cat"), (2, "a dog"), (4, "小")]),
        (b"a cat\r\na dog\n\ra bus", [(1, "a cat"), (2, "a dog"), (4, "a bus")]),
        (b"\xef\xbb\xbfa cat\n\xef\xbb\xbfa dog\n\xef\xbb\xbf\n", [(1, "a cat"), (2, "a dog")]),
        ("a cat\r\n小狗\r\n".encode("utf-16"), [(1, "a cat"), (2, "小狗")]),
        (b"\xfe\xff" + "a cat\n小狗".encode("utf-16-be"), [(1, "a cat"), (2, "小狗")]),
        (b"a cat\n\x0c\na dog\x0c\n\xe3\x80\x80\n", [(1, "a cat"), (3, "a dog")]),
        ("one\u2028two\u0085three\nfour".encode(), [(1, "one\u2028two\u0085three"), (2, "four")]),
    ],
)  # fmt: skip
def test_ends_of_lines_and_marks(draw, raw, expected):
    assert draw("--from", "-", "--out", "many/", "--json", stdin=raw).code == 0
    manifest = Path("many/manifest.jsonl").read_text(encoding="utf-8")
    entries = [json.loads(line) for line in manifest.strip().split("\n")]
    assert [(entry["line"], entry["prompt"]) for entry in entries] == expected


def test_a_line_with_a_nul_is_named(draw, refused):
    assert refused(draw("--from", "-", stdin=b"a cat\rb\0c\r"), "line 2 of stdin", "U+0000")
    assert refused(draw("--from", "a\0b"), "cannot read prompts")


def test_prompts_first_then_the_list(draw):
    entries = json.loads(draw("a bus", "--from", "-", "--json", stdin=b"a cat\n").out)
    assert [e["prompt"] for e in entries] == ["a bus", "a cat"]


JSON_LINES = """
{"prompt": "a cat", "seed": 7, "style": "noto"}

{"prompt": "小狗", "size": 48, "style": null}
{"prompt": "a bus, \\"fast\\"", "line": 3, "path": "0000.png", "model": "x"}
"""
TABLE = 'seed,Prompt,style,size\n7,a cat,noto,\n,小狗,,48\n\n,"a bus, ""fast""",,\n'


@pytest.mark.parametrize(
    ("name", "text", "lines"),
    [("list.jsonl", JSON_LINES, [2, 4, 5]), ("list.txt", JSON_LINES, [2, 4, 5]),
     ("-", JSON_LINES, [2, 4, 5]), ("list.csv", TABLE, [2, 3, 5]),
     ("list.tsv", "prompt\tseed\tstyle\tsize\na cat\t7\tnoto\n小狗\t\t\t48\n"
      '"a bus, ""fast"""\n', [2, 3, 4])],
)  # fmt: skip
def test_lists_with_settings_of_their_own(draw, tmp_path, name, text, lines):
    (tmp_path / "list.txt").write_text(text)
    if name != "-":
        (tmp_path / name).write_text(text)
    options = ("--seed", "3", "--style", "fluent-emoji-flat", "--json", "-q")
    result = draw("--from", name, "--out", "many/", *options, stdin=text.encode())
    assert (result.code, result.err) == (0, "")
    found = json.loads(result.out)
    assert [(e["prompt"], e["seed"], e["style"], e.get("size")) for e in found] == [
        ("a cat", 7, "noto", None), ("小狗", 3, "fluent-emoji-flat", 48),
        ('a bus, "fast"', 3, "fluent-emoji-flat", None)]  # fmt: skip
    assert [each["line"] for each in found] == lines
    with Image.open(tmp_path / "many" / "0001.png") as image:
        assert image.size == (48, 48)
    # The manifest is itself a list that gives the same pictures.
    assert draw("--from", "many/manifest.jsonl", "--out", "again/", "-q").code == 0
    for number in range(3):
        file = f"{number:04d}.png"
        assert (tmp_path / "again" / file).read_bytes() == (tmp_path / "many" / file).read_bytes()


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.jsonl", '{"prompt": "a"}\n{"prompt": ', "line 2 of a.jsonl is not JSON"),
        ("a.jsonl", '["a"]', "line 1 of a.jsonl is no JSON object"),
        ("a.jsonl", '{"seed": 1}', "line 1 of a.jsonl: there is no prompt"),
        ("a.jsonl", '\n{"prompt": "a", "seed": -1}', "line 2 of a.jsonl: seed -1"),
        ("a.jsonl", '{"prompt": "a", "seed": true}', "line 1 of a.jsonl: seed True"),
        ("a.jsonl", '{"prompt": "a", "colour": 1}', "line 1 of a.jsonl: there is no option"),
        ("a.jsonl", '{"prompt": "a", "size": 9999}', "line 1 of a.jsonl: size = 9999"),
        ("a.jsonl", '{"prompt": "a"}\n{"prompt": "b", "style": "x"}', "line 2 of a.jsonl: there"),
        ("a.jsonl", '{"prompt": "a", "guidance": 2}', "line 1 of a.jsonl: the vae family"),
        ("a.jsonl", "{" * 100_000, "line 1 of a.jsonl is not JSON"),
        ("a.csv", "words\na cat\n", "line 1 of a.csv names the columns"),
        ("a.csv", "prompt,seed\na cat,x\n", "line 2 of a.csv: seed 'x'"),
        ("a.csv", "prompt,seed\na, cat,1\n", "line 2 of a.csv has 3 cells"),
        ("a.csv", "prompt\n" + "a" * 200_000, "line 2 of a.csv"),
        ("a.csv", "prompt,seed\n", "no prompt in a.csv"),
    ],
)
def test_lists_that_are_wrong(draw, refused, tmp_path, name, text, said):
    (tmp_path / name).write_text(text)
    assert refused(draw("--from", name, "--out", "many/"), said)
    assert not (tmp_path / "many").exists()


def test_refused_lists(draw, refused, tmp_path):
    (tmp_path / "latin.txt").write_bytes("a cat\ncorazón".encode("latin-1"))
    assert refused(draw("--from", "latin.txt"), "UTF-8", "line 2")
    assert refused(draw("--from", "none.txt"), "none.txt")
    assert refused(draw("--from", "."), "cannot read")
    assert refused(draw("--from", "-", stdin=b"\n \n"), "no prompt in stdin")
    assert refused(draw(), "nothing to draw")


def test_refused_options_draw_nothing(draw, refused, tmp_path):
    (tmp_path / "file").write_text("x")
    before = sorted(tmp_path.iterdir())
    assert refused(draw(""), "empty")
    assert refused(draw("a cat", "--n", "0"), "n = 0")
    assert refused(draw("a cat", "--seed", "-1"), "seed")
    assert refused(draw("a cat", "--style", "cubist"), "cubist", "noto")
    assert refused(draw("a cat", "--size", "2048"), "size", "1024")
    assert refused(draw("a cat", "--steps", "0"), "steps")
    assert refused(draw("a cat", "--threads", "0"), "threads")
    assert refused(draw("a cat", "--temperature", "-1"), "temperature")
    assert refused(draw("a cat", "--top-p", "0"), "top_p")
    assert refused(draw("a cat", "--top-k", "3"), "vae", "top_k")
    assert refused(draw("a cat", "--truncation", "0.5"), "vae", "truncation")
    assert refused(draw("a cat", "--reference", "file"), "not trained with reference pictures")
    assert refused(draw("a cat", "--out", "x.gif"), "PNG, WebP, JPEG, SVG and ICO")
    assert refused(draw("a cat", "--out", "x.jpg", "--format", "svg"), "leave --format out")
    assert refused(draw("a cat", "--out", "x.jpg", "--transparent"), "JPEG has no transparency")
    assert refused(draw("a cat", "--format", "svg", "--grid"), "contact sheet")
    assert refused(draw("a cat", "--quality", "50"), "leave --quality out")
    assert refused(draw("a cat", "a dog", "--out", "x.png"), "2 pictures do not fit", "--grid")
    assert refused(draw("a cat", "--out", "file/x.png"), "file")
    assert refused(draw("a cat", "--out", "file/many/x.png"), "cannot write")
    assert refused(draw("a cat", "--out", "file/"), "file")
    assert refused(draw("a cat", "--out", "file"), "not a folder")
    assert sorted(tmp_path.iterdir()) == before


def test_a_bad_line_is_told_by_its_number(draw, refused, tmp_path):
    long = "word " * 30_000
    assert refused(draw("--from", "-", stdin=f"a cat\n\n{long}\n".encode()), "line 3 of stdin")
    assert refused(draw("--from", "-", stdin=f"\n{long}\n".encode()), "line 2 of stdin")
    assert refused(draw("a cat", long), "prompt 2", "characters long")


def test_refused_prompts_do_not_stop_the_others(draw, tmp_path):
    raw = b"a cat\n\nb\0c\na dog\n"
    result = draw("", "a bus", "--from", "-", "--seed", "1", "--out", "many/", "-q", stdin=raw)
    assert result.code == 2
    assert result.out.splitlines() == ["many/0000.png", "many/0001.png", "many/0002.png"]
    first, second = result.err.splitlines()
    assert first.startswith("limner: error: prompt 1: the prompt is empty")
    assert second.startswith("limner: error: line 3 of stdin: the prompt holds a control character")
    manifest = (tmp_path / "many" / "manifest.jsonl").read_text(encoding="utf-8")
    entries = [json.loads(line) for line in manifest.splitlines()]
    assert [entry["prompt"] for entry in entries] == ["a bus", "a cat", "a dog"]
    result = draw("a cat", "", "--n", "2", "--seed", "5", "--json", "-q")
    assert result.code == 2
    assert [entry["seed"] for entry in json.loads(result.out)] == [5, 6]
    assert len(result.err.splitlines()) == 1


def test_nothing_is_left_where_all_prompts_are_refused(draw, refused, tmp_path):
    for more in (["--out", "many/"], ["--grid"], ["--grid", "--out", "many/"]):
        assert refused(draw("", *more), "empty")
    assert list(tmp_path.iterdir()) == []


def test_a_background_alone(cli, tmp_path):
    result = cli("generate", "a red heart", "a pink background", "a cat", "--seed", "1", "-q")
    assert (result.code, result.err) == (0, "")
    assert result.out.splitlines() == [
        "a-red-heart-1.png", "a-pink-background-1.png", "a-cat-1.png"
    ]  # fmt: skip
    with Image.open(tmp_path / "a-pink-background-1.png") as image:
        ((_, (red, green, blue)),) = image.getcolors()
    assert red > blue > green
    result = cli("replay", "a-pink-background-1.png", "--out", "again.png")
    assert (result.code, result.err) == (0, "")


def test_a_hint_at_quotes(draw):
    result = draw("a", "red", "heart", "--seed", "1", "-q")
    assert result.code == 0
    assert len(result.out.splitlines()) == 3
    assert result.err.startswith(
        "limner: hint: each of the 3 words is drawn as a prompt of its own"
    )
    assert result.err.rstrip().endswith('limner generate "a red heart"')
    assert draw("cat", "dog", "bird", "-q").err == ""
    assert draw("a red heart", "a cat", "-q").err == ""


def test_the_option_that_was_given_is_refused(draw, refused):
    assert refused(draw("a cat", "--negative", "hat"), "'negative'")
    assert refused(draw("a cat", "--guidance", "3"), "'guidance'")


def test_every_drawing_option_is_an_option_of_the_command(cli):
    from limner.models.settings import OF_PICTURES, OPTIONS, Settings

    shown, changing = (
        " ".join(cli(command, "--help").out.split()) for command in ("generate", "restyle")
    )
    for name in OPTIONS:
        assert (f"--{name.replace('_', '-')} " in shown) == (name not in OF_PICTURES)
        assert f"--{name.replace('_', '-')} " in changing
        shown += changing if name in OF_PICTURES else ""
        assert str(Settings.model_fields[name].description)[:20] in shown


def test_devices_and_tiles(draw, refused):
    assert draw("a cat", "--seed", "1", "--device", "auto", "--tile", "2").code == 0
    assert refused(draw("a cat", "--device", "nonsense"), "nonsense")
    assert refused(draw("a cat", "--tile", "0"), "tile = 0")


def test_a_damaged_model(cli, refused, tiny_model, tmp_path):
    raw = tiny_model.read_bytes()
    for name, data in {"short": raw[:-100], "text": b"hello" * 9, "empty": b""}.items():
        path = tmp_path / f"{name}.safetensors"
        path.write_bytes(data)
        assert refused(cli("generate", "a cat", "--model", path), str(path))
    assert refused(cli("info", tmp_path / "text.safetensors"), "not a safetensors file")
    assert refused(cli("info", tmp_path / "short.safetensors"), "short.safetensors")


def test_a_warning_is_one_line(cli, tmp_path):
    path = save_tiny(tmp_path / "old.safetensors", "vae", encoder_fingerprint="0123456789abcdef")
    result = cli("generate", "a cat", "--seed", "1", "--model", path)
    assert (result.code, result.out) == (0, "a-cat-1.png\n")
    assert result.err.startswith("limner: warning: the text encoder")
    assert len(result.err.splitlines()) == 1


def test_replay(draw, cli, refused, tiny_model, tmp_path):
    draw("小狗, noto style", "--n", "2", "--seed", "8", "--out", "many/")
    options = ("--model", tiny_model, "--device", "cpu")
    result = cli("replay", "many/0001.png", "--out", "again.png", *options)
    assert (result.code, result.out, result.err) == (0, "again.png\n", "")
    assert (tmp_path / "again.png").read_bytes() == (tmp_path / "many/0001.png").read_bytes()
    with Image.open(tmp_path / "again.png") as image:
        chunks = image.info["limner"]
    from limner.generation.files import write_image

    write_image(Image.new("RGB", (SIZE, SIZE)), tmp_path / "edited.png", {"limner": chunks})
    result = cli("replay", "edited.png", "--out", "b.png", "--model", tiny_model)
    assert result.code == 0
    assert result.err.startswith("limner: warning: the pixels differ")
    assert refused(cli("replay", "many/0001.png", "--out", "c.png"), "drawn by model")
    assert refused(cli("replay", "none.png", "--out", "c.png"), "none.png")
    assert not (tmp_path / "c.png").exists()


@pytest.mark.parametrize("kind", ["webp", "jpeg", "svg"])
def test_formats(draw, cli, tiny_model, tmp_path, kind):
    ending = "jpg" if kind == "jpeg" else kind
    assert draw("小狗", "--seed", "8", "--format", kind).out == f"小狗-8.{ending}\n"
    result = draw("a cat", "--n", "2", "--seed", "1", "--format", kind, "--out", "many")
    assert result.out == f"many/0000.{ending}\nmany/0001.{ending}\n"
    assert draw("a cat", "--seed", "1", "--out", f"x.{ending}").code == 0
    assert (tmp_path / f"x.{ending}").read_bytes() == (
        tmp_path / f"many/0000.{ending}"
    ).read_bytes()
    result = cli("replay", f"x.{ending}", "--out", f"y.{ending}", "--model", tiny_model)
    assert (result.code, result.err) == (0, "")
    assert (tmp_path / f"x.{ending}").read_bytes() == (tmp_path / f"y.{ending}").read_bytes()
    result = cli("replay", f"x.{ending}", "--out", "z.png", "--model", tiny_model)
    assert (result.code, result.err) == (0, "")
    assert read_record(tmp_path / "z.png").seed == 1


def test_transparent(draw, cli, tiny_model, tmp_path):
    assert draw("a cat", "--seed", "8", "--transparent", "--out", "a.png").code == 0
    with Image.open(tmp_path / "a.png") as image:
        assert image.mode == "RGBA"
    assert cli("replay", "a.png", "--out", "b.png", "--model", tiny_model).err == ""
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_replay_keeps_what_was_left_to_chance(draw, cli, tiny_model, tmp_path):
    assert draw("小狗", "--seed", "8", "--temperature", "0.5", "--out", "a.png").code == 0
    with Image.open(tmp_path / "a.png") as image:
        assert "Temperature: 0.5" in image.info["parameters"]
    assert cli("replay", "a.png", "--out", "b.png", "--model", tiny_model).err == ""
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    draw("小狗", "--seed", "8", "--out", "c.png")
    assert (tmp_path / "a.png").read_bytes() != (tmp_path / "c.png").read_bytes()


def test_info(cli, tiny_model):
    result = cli("info", tiny_model)
    assert result.code == 0
    for words in ("vae", "parameters", "32 x 32", "noto, fluent-emoji-flat", "e5-small",
                  "2 en, 1 zh", "noto: Apache-2.0"):  # fmt: skip
        assert words in result.out
    facts = json.loads(cli("info", tiny_model, "--json").out)
    assert facts["hash"] == file_hash(tiny_model)
    assert facts["concepts"]["zh"] == ["红心"]
    from limner.modelfile import load_model

    model, _ = load_model(tiny_model)
    assert facts["parameters"] == sum(t.numel() for t in model.state_dict().values())


def test_a_prompt_file_without_end_is_refused(cli, refused):
    assert refused(cli("generate", "--from", "/dev/zero"), "/dev/zero", "64 MB")


def test_what_other_programs_write_for_standard_streams_is_no_prompt_and_no_folder(
    cli, tmp_path, tiny_model
):
    to = ["--model", str(tiny_model), "--seed", "1"]
    done = cli("generate", "-", *to)
    assert done.code == 2 and "standard input give --from -" in done.err
    done = cli("generate", "a cat", "--out", "-", *to)
    assert done.code == 2 and "not written to standard output" in done.err
    assert not list(tmp_path.iterdir())
    (tmp_path / "prompts.txt").write_text("a cat")
    done = cli("generate", "prompts.txt", *to)
    assert done.code == 0 and "for the prompts in it give --from prompts.txt" in done.err
