"""The trainer reads and writes files through `pipeline.own_dir` and `pipeline.plain_file` alone."""

import ast
from pathlib import Path

import pytest

TRAINER = Path(__file__).parents[1] / "trainer"
MODULES = {"shutil", "tempfile", "io.open", "codecs", "glob"}
NAMES = {"open", "SummaryWriter", "save_file", "load_file", "safe_open"}
METHODS = {
    "mkdir", "rmdir", "unlink", "touch", "rename", "symlink_to", "hardlink_to", "link_to", "chmod", "rmtree",
    "glob", "rglob", "iterdir", "is_file", "stat", "lstat", "write", "writelines", "mkstemp", "mkdtemp",
    "copyfile", "copy2", "copytree", "save_file", "load_file", "safe_open", "SummaryWriter", "dump",
    "tofile", "imwrite", "savez",
}  # fmt: skip
WITH_A_NAME = {"write_text": 2, "write_bytes": 2, "read_text": 2, "read_bytes": 2}
"""Methods of `Path` too, which take fewer arguments."""

ALLOWED = {
    ("ablate/spec.py", "read_text"): "a table inside the package",
    ("board.py", "write"): "into memory",
    ("checkpoint.py", "loads"): "of a text that it has made",
    ("demo.py", "read_text"): "the kernel's /proc/cpuinfo",
    **{
        ("load_speed.py", call): "a cache of the bench, read raw"
        for call in ("rglob", "is_file", "stat", "open")
    },
    ("export/example.py", "savez"): "into memory",
    ("load_speed.py", "write"): "to standard output",
    ("pages/files.py", "rmdir"): "an empty directory that it has created",
    ("plots.py", "open"): "the current directory, to return to it",
    ("prediction/clip_list.py", "stat"): "size and time of a listed clip",
    ("prediction/fonts.py", "is_file"): "a font inside a package",
    ("prediction/fonts.py", "rglob"): "the fonts of the machine",
    ("prediction/inputs.py", "is_file"): "whether a name below a directory of videos is a file",
    ("prediction/outputs.py", "stat"): "the size of the user's video, before it is embedded",
    ("prediction/growing_files.py", "savez"): "into memory",
    ("prediction/video.py", "open"): "the descriptor of a file of OwnDir",
    ("prediction/video.py", "write"): "an image of a video",
    ("prediction/writing.py", "write"): "into a file of OwnDir",
    ("report/sheet.py", "is_file"): "whether a data set is a drawn one",
    ("train_command.py", "is_file"): "whether an interrupted run holds a model",
}


def accesses(source: str) -> list[str]:
    """The calls of a source that reach files by path, or parse or print JSON in another way."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [getattr(node, "module", None) or "", *(alias.name for alias in node.names)]
            found += [name for name in names if name in MODULES | NAMES]
        if not isinstance(node, ast.Call):
            continue
        called, count = node.func, len(node.args)
        if isinstance(called, ast.Name) and called.id in NAMES:
            found.append(called.id)
        if isinstance(called, ast.Attribute):
            name = called.attr
            owner = called.value.id if isinstance(called.value, ast.Name) else ""
            is_plot = name == "savefig" and not (
                isinstance(node.args[0], ast.Name) and node.args[0].id == "image"
            )
            is_path = name == "replace" and count == 1 and not node.keywords
            if (
                name in METHODS
                or count < WITH_A_NAME.get(name, 0)
                or is_plot
                or is_path
                or (name == "open" and owner != "FeatureCache")
                or (name == "loads" and owner == "json")
            ):
                found.append(name)
    return found


@pytest.mark.parametrize(
    "path", sorted(TRAINER.rglob("*.py")), ids=lambda path: str(path.relative_to(TRAINER))
)
def test_no_module_of_the_trainer_reaches_a_file_by_itself(path):
    name = str(path.relative_to(TRAINER))
    assert [access for access in accesses(path.read_text()) if (name, access) not in ALLOWED] == []


def test_every_exception_is_still_needed():
    used = {
        (str(path.relative_to(TRAINER)), access)
        for path in TRAINER.rglob("*.py")
        for access in accesses(path.read_text())
    }
    assert set(ALLOWED) <= used


@pytest.mark.parametrize(
    "source",
    [
        'path.write_text("x")',
        "path.write_bytes(b)",
        'path.read_text(encoding="utf-8")',
        "path.read_bytes()",
        'open(path, "w")',
        'path.open("a")',
        "figure.savefig(path, dpi=120)",
        "shutil.rmtree(path)",
        "import shutil",
        "from tempfile import TemporaryFile",
        "save_file(tensors, path)",
        "SummaryWriter(str(path))",
        "json.loads(text)",
        "json.dump(value, file)",
        "partial.replace(path)",
        "path.rename(other)",
        "path.mkdir()",
        "out.glob('*')",
    ],
)
def test_the_search_finds_every_way_to_a_file(source):
    assert accesses(source)


@pytest.mark.parametrize(
    "source",
    [
        'run_dir.write_text("a.json", text)',
        'run_dir.read_text("a.json", 100)',
        'text.replace("a", "b")',
        "replace(info, seed=1)",
        "FeatureCache.open(place)",
        'figure.savefig(image, format="png")',
    ],
)
def test_the_search_leaves_other_calls_alone(source):
    assert accesses(source) == []
