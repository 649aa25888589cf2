"""What other programs call the things that limner's commands do."""

from __future__ import annotations

from typing import Final

_NAMES: Final = {
    'generate "a red heart"': "create draw gen imagine image make paint picture prompt text2image "
    "text2img txt2img t2i",
    "replay PICTURE": "again redraw reproduce repeat",
    "info (styles, licences, training and quality of a model)": "about describe-model inspect "
    "licence license model status styles",
    'edit PICTURE --box 10,10,80,80 --prompt "a kite" (or --mask FILE)': "fill inpaint mask "
    "replace",
    "edit PICTURE --outpaint LEFT,TOP,RIGHT,BOTTOM": "expand extend outpaint uncrop",
    'edit PICTURE --say "remove the dog"': "add change delete erase instruct modify recolor "
    "recolour remove",
    "vary PICTURE": "variant variants variation variations",
    "restyle PICTURE --prompt WORDS (or --style STYLE)": "i2i image2image img2img reimagine style "
    "stylise stylize transform",
    'morph "a cat" "a dog" --out walk.gif': "animate animation blend gif interpolate video walk",
    "restore PICTURE (with --task denoise, deblur, deblock, upscale or colorize)": "colorise "
    "colorize colour colourise colourize deblock deblur denoise enhance enlarge fix repair sharpen "
    "superres upscale",
    "serve": "api app gui host run server start ui web webui",
    'explain "a red heart"': "attention heatmap why",
    'refine "two red apples" --budget 8': "best best-of improve",
    "set NAMES.txt --style STYLE --out FOLDER/": "icon icons iconset",
    "batch JOBS.jsonl --out FOLDER/": "bulk job jobs queue",
    "vote PICTURE --up (or --down, or --over PICTURE)": "down like dislike rate rank thumb up",
    "feedback train PREFERENCES": "prefer preference preferences personalise personalize taste",
    "data pack FOLDER --out STORE": "dataset datasets import ingest pack prepare preprocess",
    "data check FOLDER": "check clean doctor lint validate",
    "data sample --out FOLDER": "demo example examples sample",
    "publish RUN --data STORE --out FILE, data export, gallery export or feedback export": "export "
    "release save share upload",
    "train quickstart data.store=STORE --out RUN": "dreambooth finetune fine-tune fit learn lora "
    "resume teach",
    "evaluate RUN --data STORE": "clip-score eval fid measure metrics score test",
    "bench": "benchmark benchmarks results",
    "average RUN RUN --out FILE": "merge mix soup",
    "tune RECIPE --space KEY=SPACE --out FOLDER": "hpo optimise optimize sweep",
    "models list": "checkpoints download hub list ls pull",
    "gallery list": "browse history pictures",
    "index FOLDER --out FILE": "embed embeddings",
    "search INDEX WORDS": "find lookup query retrieve",
    "caption PICTURE": "alt-text blip describe interrogate read tag",
    "classify PICTURE --as WORDS --as WORDS": "label predict recognise recognize zero-shot",
    "text show WORDS": "parse plan tokenise tokenize understand",
    "--help": "? commands help man usage",
    "--version": "v ver version",
}
_COMMANDS: Final = {name: command for command, names in _NAMES.items() for name in names.split()}
_UNDO: Final = frozenset(("back", "restore-original", "revert", "rollback", "undo"))


def hint_for(name: str) -> str:
    """What to type instead of a command that is not there: one sentence, or nothing.

    Args:
        name: what stands where a command is expected. Words with a space between them, or in a
            script that no command is written in, are taken for a prompt.
    """
    plain = name.strip().lower().replace("_", "-")
    if plain in _UNDO:
        return "Edited pictures are new files: the picture as it was is still there."
    if command := _COMMANDS.get(plain):
        return f"Use: limner {command}"
    if " " in plain or not plain.isascii():
        return f'To draw it: limner generate "{name}"'
    return ""
