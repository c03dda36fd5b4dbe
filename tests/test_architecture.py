"""Does the checkout still have the shape that its documents describe?"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from headway import command
from tests.harness import house
from tests.harness.house import ROOT

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CONTRACTS = {contract["id"]: contract for contract in PYPROJECT["tool"]["importlinter"]["contracts"]}

#: Every `make` target with a word for people.
TARGETS = {
    "audit", "setup", "run", "test", "fuzz", "lint", "bench", "worker", "gateway", "simulate", "lock", "clean", "help"
}  # fmt: skip

#: celeryconfig.py is read by Celery before our app exists: words and means, never a door or what stands on them.
CELERYCONFIG_MAY_IMPORT = {*sys.stdlib_module_names, "headway", "kombu", "priorities", "runtime"}

#: The client is all that an app installs.
CLIENT_MAY_IMPORT = {*sys.stdlib_module_names, "headway", "redis"}

DOCUMENTS = [path for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md") if (path := ROOT / name).exists()]


def imported(path: Path) -> set[str]:
    """Name every module that a file imports, wherever in the file."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.add(f"{'.' * node.level}{node.module or ''}")
    return names


def roots(path: Path) -> set[str]:
    """Name the top-level packages that a file imports."""
    return {name.partition(".")[0] for name in imported(path)}


def test_imports_keep_the_contracts() -> None:
    """The contracts in pyproject.toml hold: downwards only, siblings apart, frameworks in their rooms."""
    linter = Path(sys.executable).with_name("lint-imports")
    result = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_room_is_under_contract() -> None:
    """A new room can't stay outside the import contracts: each is a root package, has a layer, and obeys the bans."""
    rooms = set(house.rooms())
    linter = PYPROJECT["tool"]["importlinter"]
    assert rooms == set(linter["root_packages"])
    layered = {name.strip(" ()") for layer in CONTRACTS["layers"]["layers"] for name in layer.split("|")}
    assert rooms <= layered
    assert rooms == set(CONTRACTS["no-tests"]["source_modules"])
    assert rooms - set(CONTRACTS["celery"]["source_modules"]) == {"worker"}
    assert rooms - set(CONTRACTS["kombu"]["source_modules"]) == {"worker", "priorities"}
    assert rooms - set(CONTRACTS["tenacity"]["source_modules"]) == {"providers", "runtime"}
    assert rooms - set(CONTRACTS["simulator"]["forbidden_modules"]) == {"simulator"}


@pytest.mark.parametrize("path", sorted((ROOT / "headway").rglob("*.py")), ids=lambda path: path.name)
def test_the_client_needs_nothing_but_redis(path: Path) -> None:
    """What an app imports brings no dependency besides the Redis client."""
    assert roots(path) - {""} <= CLIENT_MAY_IMPORT


@pytest.mark.parametrize("path", sorted((ROOT / "priorities").rglob("*.py")), ids=lambda path: path.name)
def test_priorities_know_only_kombus_entities(path: Path) -> None:
    """The class table stays pure: of kombu it takes the queue entities, never a connection."""
    assert {name for name in imported(path) if name.partition(".")[0] == "kombu"} <= {"kombu.entity"}


def test_celeryconfig_imports_only_words() -> None:
    """Celery's settings depend on words and means, so that any Celery command can read them."""
    assert roots(ROOT / "celeryconfig.py") <= CELERYCONFIG_MAY_IMPORT


@pytest.mark.parametrize("room", house.rooms())
def test_a_room_says_its_question_in_five_lines(room: str) -> None:
    """Each room's front says in at most five lines what it answers and what it promises."""
    docstring = ast.get_docstring(ast.parse((ROOT / room / "__init__.py").read_text(encoding="utf-8")))
    assert docstring, f"{room}/__init__.py has no docstring"
    assert len(docstring.splitlines()) <= 5


def test_sizes_headers_and_docstrings() -> None:
    """No file, function or script is over its wall, no script argument is undocumented, no test is silent."""
    found = house.problems()
    assert not found, "\n".join(found)


def test_the_size_check_sees_a_function_that_is_too_long() -> None:
    """51 lines of code are over the wall, 50 with any number of comments and docstring lines are not."""
    head = 'def long() -> None:\n    """Say\n    much."""\n'
    code = "    x = 1\n"
    allowed = head + "    # why\n\n" * 100 + code * (house.FUNCTION_LINES - 1)
    assert [line for line in house.oversized(allowed, "a.py") if "long" in line] == []
    assert len([line for line in house.oversized(allowed + code, "a.py") if "long" in line]) == 1


def test_the_size_check_sees_a_file_that_is_too_long() -> None:
    """The first line over the wall is reported."""
    assert house.oversized("x = 1\n" * house.FILE_LINES, "a.py") == []
    assert len(house.oversized("x = 1\n" * (house.FILE_LINES + 1), "a.py")) == 1


@pytest.mark.parametrize(
    ("script", "complaints"),
    [
        ("#!lua\n-- KEYS[1] lane\nreturn KEYS[1]", 0),
        ("#!lua\n-- KEYS[2..] records\nreturn KEYS[3]", 0),
        ("#!lua\n-- KEYS[1] lane\nreturn KEYS[1] .. ARGV[1]", 1),
        ("#!lua\nreturn 1", 1),
        ("-- helper(): the lanes are the script's first KEYS\nlocal a = KEYS[4]", 0),
        ("-- helper(): the lanes\nlocal a = KEYS[4]", 1),
        ("#!lua\n-- long\n" + "x = 1\n" * (house.LUA_LINES + 1), 1),
    ],
)
def test_the_script_check_sees_what_a_header_leaves_out(script: str, complaints: int) -> None:
    """An argument used and not named, a missing header and a script over the wall are each reported once."""
    assert len(house.lua_problems(script, "a.lua")) == complaints


def test_the_docstring_check_sees_a_silent_test() -> None:
    """A test without a docstring is named, one with a docstring isn't."""
    silent = 'def test_a():\n    pass\n\ndef test_b():\n    """It holds."""\n'
    assert house.silent_tests(silent, "t.py") == ["t.py:1 test_a: no docstring"]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_documents_name_paths_that_exist(document: Path) -> None:
    """A path in backticks leads somewhere: text can't outlive the code that it describes."""
    tops = {path.name for path in ROOT.iterdir()}
    text = re.sub(r"```.*?```", "", document.read_text(encoding="utf-8"), flags=re.DOTALL)
    missing = [
        name
        for name in re.findall(r"`([\w.-]+(?:/[\w.*-]+)*/?)`", text)
        if ("/" in name and name.partition("/")[0] in tops - {".venv"} and not list(ROOT.glob(name.rstrip("/"))))
        or (re.fullmatch(r"[\w-]+\.(py|lua|toml|lock|md|csv)", name) and not _anywhere(name))
    ]
    assert not missing, f"{document.name} names what isn't there: {missing}"


def _anywhere(name: str) -> bool:
    folders = [ROOT, *(ROOT / folder for folder in (*house.rooms(), "tests", "bench", "examples", "docs", "deploy"))]
    return any((folder / name).exists() or any(folder.glob(f"*/{name}")) for folder in folders)


def test_make_lists_its_targets() -> None:
    """`make` alone tells a newcomer every command."""
    result = subprocess.run(["make", "-C", ROOT], capture_output=True, text=True, check=True, timeout=60)
    assert set(re.findall(r"^  make (\w+) +\S", result.stdout, flags=re.MULTILINE)) == TARGETS


def test_the_lock_names_no_address() -> None:
    """The lock holds names, versions and hashes, so that whoever installs uses the index of their own."""
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert not re.findall(r"https?:|file:|^\s*-(?!-hash=)", lock, flags=re.MULTILINE)


def test_the_lock_holds_every_dependency() -> None:
    """Whoever adds a dependency locks it: each name in pyproject.toml is pinned in requirements.lock."""
    project = PYPROJECT["project"]
    groups = PYPROJECT["dependency-groups"]
    wanted = [
        *project["dependencies"],
        *project["optional-dependencies"]["processes"],
        *groups["dev"],
        *groups["build"],
    ]
    locked = set(re.findall(r"^([a-z0-9-]+)==", (ROOT / "requirements.lock").read_text(encoding="utf-8"), re.MULTILINE))
    assert {re.split(r"[<>=~ ;\[]", requirement)[0] for requirement in wanted} <= locked


def test_the_command_without_a_console_says_where_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where only the client is installed, `headway` says in one sentence where the processes run from."""
    monkeypatch.setitem(sys.modules, "console.main", None)
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == command.EXIT_NOT_HERE
    assert capsys.readouterr().err == f"{command.CLIENT_ONLY}\n"
