"""What is declared in four places agrees: pyproject.toml, requirements.lock, environment.yml, the tree."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parent.parent
LARGEST_TRACKED_BYTES = 500_000
HEAVY = ("av", "cv2", "dask", "h5py", "matplotlib", "numpy", "open_clip", "sklearn", "torch", "zarr")
PYTHONS = ("3.11", "3.12", "3.13")

# Spelled so that this file does not name them itself.
REGISTRY_HOST = re.compile(r"p[y]pi\.org|python[h]osted|registry\.npm[j]s|deb\.deb[i]an|conda\.an[a]conda")
INDEX_LINE = re.compile(
    r"^\s*(-i|-f|--index-url|--extra-index-url|--find-links|--default-index)\b", re.MULTILINE
)
LOCKED = re.compile(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)(?: ; ([^\\]+))?", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Locked:
    """One entry of the lock: a version, for the machines on which the marker is true."""

    name: str
    version: Version
    marker: Marker | None
    num_hashes: int

    def serves(self, python: str) -> bool:
        """Whether this entry is installed on Linux with that Python."""
        machine = {
            "python_version": python,
            "python_full_version": f"{python}.0",
            "sys_platform": "linux",
            "platform_machine": "x86_64",
        }
        return self.marker is None or self.marker.evaluate(machine)


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def project() -> dict[str, Any]:
    return tomllib.loads(read("pyproject.toml"))


def lock() -> list[Locked]:
    text = read("requirements.lock")
    starts = [match.start() for match in LOCKED.finditer(text)]
    entries = []
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        name, version, marker = LOCKED.match(text, start).groups()
        entries.append(
            Locked(
                name=canonicalize_name(name),
                version=Version(version),
                marker=Marker(marker.strip()) if marker else None,
                num_hashes=text.count("--hash=sha256:", start, end),
            )
        )
    return entries


def tracked_files() -> list[Path]:
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("not a git checkout: there is no list of tracked files")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True)
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def declared() -> list[Requirement]:
    values = project()
    texts = [
        *values["project"]["dependencies"],
        *values["project"]["optional-dependencies"]["dev"],
        *values["project"]["optional-dependencies"]["docs"],
        *values["dependency-groups"]["lock"],
        *values["build-system"]["requires"],
    ]
    return [Requirement(text) for text in dict.fromkeys(texts)]


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("requirement", declared(), ids=str)
def test_what_is_declared_is_locked_once_at_a_version_that_is_admitted(
    requirement: Requirement, python: str
) -> None:
    name = canonicalize_name(requirement.name)
    entries = [entry for entry in lock() if entry.name == name and entry.serves(python)]
    assert len(entries) == 1
    assert entries[0].version in requirement.specifier


def test_every_locked_package_has_a_hash_and_there_are_no_other_installations() -> None:
    text = read("requirements.lock")
    assert [entry.name for entry in lock() if entry.num_hashes == 0] == []
    lines = [line for line in text.splitlines() if line and not line.lstrip().startswith(("#", "--hash="))]
    assert [line for line in lines if not LOCKED.match(line)] == []


def test_retinaface_is_locked_but_not_declared_where_pip_would_have_to_resolve_it() -> None:
    values = project()["project"]
    texts = [
        *values["dependencies"],
        *(text for extra in values["optional-dependencies"].values() for text in extra),
    ]
    assert "retinaface-pytorch" not in {canonicalize_name(Requirement(text).name) for text in texts}
    assert [str(entry.version) for entry in lock() if entry.name == "retinaface-pytorch"] == ["0.0.8"]
    assert [entry for entry in lock() if entry.name == "albumentations"] == []


def test_one_opencv_is_locked_and_it_is_the_headless_one() -> None:
    assert [entry.name for entry in lock() if entry.name.startswith("opencv")] == ["opencv-python-headless"]


def test_every_runtime_dependency_is_imported_by_the_product_or_by_a_library_of_it() -> None:
    needed_by_dask = {"bokeh", "cryptography"}  # its dashboard; the certificates of a run
    installed = metadata.packages_distributions()
    modules = {
        canonicalize_name(name): [module for module, owners in installed.items() if name in owners]
        for owners in installed.values()
        for name in owners
    }
    sources = [ROOT / "cli.py", *(ROOT / "pipeline").rglob("*.py"), *(ROOT / "trainer").rglob("*.py")]
    imported = set(
        re.findall(r"^ *(?:import|from) (\w+)", "\n".join(map(Path.read_text, sources)), re.MULTILINE)
    )
    names = {canonicalize_name(Requirement(text).name) for text in project()["project"]["dependencies"]}
    assert {name for name in names if not imported & set(modules[name])} == needed_by_dask


def test_conda_brings_python_make_and_pip_and_nothing_else() -> None:
    environment = yaml.safe_load(read("environment.yml"))
    assert environment["name"] == project()["project"]["name"]
    assert environment["channels"] == ["conda-forge"]
    assert all(isinstance(entry, str) for entry in environment["dependencies"]), (
        "a pip section bypasses the lock"
    )
    python, *others = sorted(environment["dependencies"], key=lambda entry: not entry.startswith("python="))
    assert sorted(others) == ["make", "pip"]
    assert python.removeprefix("python=") in PYTHONS
    assert python.removeprefix("python=") in SpecifierSet(project()["project"]["requires-python"])


def test_the_oldest_and_the_newest_python_are_the_same_everywhere() -> None:
    values = project()
    oldest = PYTHONS[0]
    after = f"3.{int(PYTHONS[-1].removeprefix('3.')) + 1}"
    assert values["project"]["requires-python"] == f">={oldest},<{after}"
    assert values["tool"]["mypy"]["python_version"] == oldest
    assert values["tool"]["ruff"]["target-version"] == f"py{oldest.replace('.', '')}"
    assert f"--python-version {oldest}" in read("Makefile")
    limits = " <= sys.version_info < ".join(f"({v.replace('.', ', ')})" for v in (oldest, after))
    assert limits in read("Makefile")


def test_the_pythons_are_the_same_everywhere() -> None:
    named = re.findall(r"Python :: (3\.\d+)", "\n".join(project()["project"]["classifiers"]))
    assert tuple(named) == PYTHONS
    assert f"supported=({' '.join(PYTHONS)})" in read(".ci/pythons")
    *most, last = PYTHONS
    for name in ("README.md", "Makefile"):
        assert f"Python {', '.join(most)} or {last}" in read(name), name


def test_a_package_has_one_version_on_every_python() -> None:
    served = {python: {e.name: e.version for e in lock() if e.serves(python)} for python in PYTHONS}
    names = set().union(*served.values())
    versions = {name: {found[name] for found in served.values() if name in found} for name in names}
    assert {name: found for name, found in versions.items() if len(found) > 1} == {}


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run make on a copy of the Makefile, in a directory without anything to install."""
    shutil.copy(ROOT / "Makefile", folder)
    shutil.copy(ROOT / "requirements.lock", folder)
    return subprocess.run(["make", *arguments], cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("VENV=precious",),
            "'precious' holds files that are not of a Python environment; give VENV another",
        ),
        (("VENV=.",), "'.' holds files that are not of a Python environment; give VENV another directory."),
        (("VENV=",), "VENV is ''; give the path of one directory, without blanks"),
        (("VENV=a b",), "VENV is 'a b'; give the path of one directory, without blanks"),
        (
            ("PYTHON=/nowhere",),
            "'/nowhere' is not Python 3.11, 3.12 or 3.13, or does not run; name one that is",
        ),
    ],
)
def test_make_deletes_no_files_of_the_user_and_names_what_is_wrong(tmp_path, arguments, message) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious/thesis.tex").write_text("dear")
    done = make(tmp_path, "install", *arguments)
    assert done.returncode != 0
    assert message in done.stderr
    assert (tmp_path / "precious/thesis.tex").read_text() == "dear"


def test_the_citation_names_this_version_and_the_paper() -> None:
    citation = yaml.safe_load(read("CITATION.cff"))
    assert citation["version"] == project()["project"]["version"]
    assert citation["license"] == project()["project"]["license"] == "MIT"
    assert citation["preferred-citation"]["identifiers"][0]["value"] == "arXiv:2405.18769"
    assert len(citation["preferred-citation"]["authors"]) == 11


def test_every_folder_of_code_is_a_package() -> None:
    folders = {path.parent for root in ("pipeline", "trainer") for path in (ROOT / root).rglob("*.py")}
    assert [
        str(folder.relative_to(ROOT)) for folder in folders if not (folder / "__init__.py").is_file()
    ] == []


@pytest.mark.parametrize("name", ["cli.py", ".ci/run", ".ci/pythons"])
def test_what_is_run_by_its_name_is_executable(name: str) -> None:
    assert os.access(ROOT / name, os.X_OK)


def test_no_tracked_file_names_a_package_registry_or_an_index() -> None:
    naming = []
    for path in tracked_files():
        text = path.read_bytes().decode("utf-8", errors="replace")
        is_requirements = path.suffix in {".lock", ".in"} or path.name.startswith("requirements")
        if REGISTRY_HOST.search(text) or (is_requirements and INDEX_LINE.search(text)):
            naming.append(str(path.relative_to(ROOT)))
    assert naming == []


def test_no_tracked_file_is_large() -> None:
    sizes = {str(path.relative_to(ROOT)): path.stat().st_size for path in tracked_files()}
    assert {name: size for name, size in sizes.items() if size > LARGEST_TRACKED_BYTES} == {}


def test_uv_lock_which_names_registries_is_not_tracked() -> None:
    assert ROOT / "uv.lock" not in tracked_files()


def test_importing_the_command_line_loads_nothing_heavy() -> None:
    program = f"import json, sys, cli; print(json.dumps([name for name in {HEAVY} if name in sys.modules]))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert json.loads(done.stdout) == []


def test_clean_removes_what_tools_write_and_nothing_else(tmp_path: Path) -> None:
    packages = {path.relative_to(ROOT).parent for path in tracked_files() if path.suffix == ".py"}
    tools = ".mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage"
    tools += " .coverage.host.1 .venv/bin .venv-3.12 build dist ous.egg-info"
    written = [*(folder / "__pycache__" for folder in packages), *map(Path, tools.split())]
    kept = [*packages, *map(Path, ["feats.zarr", "runs/a", "demo-out", "gpu-out", "data"])]
    for folder in (*written, *kept):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "Makefile", tmp_path)
    subprocess.run(["make", "clean"], cwd=tmp_path, check=True, capture_output=True)
    assert [str(folder) for folder in written if (tmp_path / folder).exists()] == []
    assert [str(folder) for folder in kept if not (tmp_path / folder).exists()] == []


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel of this checkout, built from a copy so that the tree stays as it is."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("pipeline", "trainer"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("cli.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    build = ["wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", folder / "dist", folder]
    subprocess.run([sys.executable, "-m", "pip", *build], check=True)
    (built,) = (folder / "dist").iterdir()
    return built


def test_the_wheel_has_every_module_and_the_specs_of_the_tables(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    sources = [
        path.relative_to(ROOT).as_posix()
        for root in ("pipeline", "trainer")
        for path in (ROOT / root).rglob("*")
        if path.suffix in {".py", ".toml"}
    ]
    assert packed == {"cli.py", *sources}


def test_an_installed_wheel_has_the_command_and_the_packages_in_any_directory(
    wheel: Path, tmp_path: Path
) -> None:
    site = tmp_path / "site"
    install = ["install", "--quiet", "--no-deps", "--no-compile", "--target", site, wheel]
    subprocess.run([sys.executable, "-m", "pip", *install], check=True)
    here = os.environ | {"PYTHONPATH": str(site), "PATH": f"{site / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    found = subprocess.run(
        [sys.executable, "-c", "import pipeline, trainer; print(pipeline.__file__, trainer.__file__)"],
        cwd=tmp_path, env=here, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert found.stdout.count(str(site)) == 2
    failed = subprocess.run(
        ["ous", "cache", "info", "none.zarr"],
        cwd=tmp_path,
        env=here,
        capture_output=True,
        text=True,
        check=False,
    )
    assert failed.returncode == 1
    assert "No cache at 'none.zarr'; make one with `ous extract --cache none.zarr ...`" in failed.stderr


@pytest.mark.parametrize("recipe", ["Dockerfile", "ous.def"])
def test_a_recipe_of_a_container_takes_files_that_are_there_and_the_lock(recipe: str) -> None:
    text = (ROOT / "containers" / recipe).read_text()
    if recipe == "Dockerfile":
        copied = [
            name for line in re.findall(r"^COPY (.+) \S+$", text, re.MULTILINE) for name in line.split()
        ]
    else:
        copied = re.findall(r"^    (\S+) /opt/ous/\S+$", text, re.MULTILINE)
    needed = {"requirements.lock", "pyproject.toml", "README.md", "LICENSE", "cli.py", "pipeline", "trainer"}
    assert set(copied) == needed
    assert all((ROOT / name).exists() for name in copied)
    assert "--require-hashes --no-deps -r requirements.lock" in text
    kept = {
        line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines() if line[0] == "!"
    }
    assert kept == needed
