"""Does the source keep to the house's sizes and headers?

`make lint` and tests/test_architecture.py ask. Walls, not wishes: wanted are files of 250 lines and functions of 25.
Lines of code are counted without blank lines, comments and docstrings, so that nobody saves on words.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

#: All lines of a file: what a reader has to scroll through.
FILE_LINES = 400

#: Lines of code of a function.
FUNCTION_LINES = 50

#: Lines of code of a Lua script; its header may be as long as it needs.
LUA_LINES = 80

_LUA_USED = re.compile(r"\b(KEYS|ARGV)\[(\d+)\]")
#: In a header: `KEYS[1]`, or `ARGV[6..]` for all from the sixth on.
_LUA_NAMED = re.compile(r"\b(KEYS|ARGV)\[(\d+)(\.\.)?\d*\]")


_DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def rooms() -> list[str]:
    """The top-level packages that run: every folder with an `__init__.py` but the tests."""
    return sorted(path.parent.name for path in ROOT.glob("*/__init__.py") if path.parent.name not in {"tests", "bench"})


def sources() -> list[Path]:
    """Every Python file of ours that isn't a test: rooms, root modules, benches, examples, the harness."""
    folders = [*rooms(), "bench", "examples", "tests/harness"]
    return sorted([*ROOT.glob("*.py"), *(path for folder in folders for path in (ROOT / folder).rglob("*.py"))])


def scripts() -> list[Path]:
    """Every Lua script of every room."""
    return sorted(path for room in rooms() for path in (ROOT / room).rglob("*.lua"))


def tests() -> list[Path]:
    """Every file of tests."""
    return sorted((ROOT / "tests").rglob("test_*.py"))


def code_line_numbers(source: str) -> set[int]:
    """Which lines hold code: no blank lines, no comments, no docstrings."""
    quiet = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in quiet:
            lines.update(range(token.start[0], token.end[0] + 1))
    return lines - _docstring_lines(ast.parse(source))


def _docstring_lines(tree: ast.Module) -> set[int]:
    lines: set[int] = set()
    for node in ast.walk(tree):
        if not isinstance(node, _DOCUMENTED):
            continue
        if ast.get_docstring(node):
            lines.update(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    return lines


def functions(source: str) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function and method, nested ones too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def oversized(source: str, name: str) -> list[str]:
    """Say what in one Python file is over its wall."""
    found = []
    if (length := len(source.splitlines())) > FILE_LINES:
        found.append(f"{name}: {length} lines, the wall is {FILE_LINES}: split it by question")
    code = code_line_numbers(source)
    for function in functions(source):
        size = len(code.intersection(range(function.lineno, (function.end_lineno or 0) + 1)))
        if size > FUNCTION_LINES:
            place = f"{name}:{function.lineno} {function.name}"
            found.append(f"{place}: {size} lines of code, the wall is {FUNCTION_LINES}")
    return found


def lua_problems(source: str, name: str) -> list[str]:
    """Say what in one Lua script is too long, or used without a word about it in the header.

    The header is the comment on top, below the `#!lua` line. A file without that line is included by scripts: it takes
    their KEYS and ARGV, so it need not number them, but must say in its header that it takes them.
    """
    lines = source.splitlines()
    is_script = bool(lines) and lines[0].startswith("#!lua")
    body = lines[1:] if is_script else lines
    end = next((i for i, line in enumerate(body) if line.strip() and not line.startswith("--")), len(body))
    header = "\n".join(body[:end])
    code = [text for line in body[end:] if (text := line.split("--", 1)[0].strip())]
    used = {(kind, int(place)) for kind, place in _LUA_USED.findall("\n".join(code))}
    found = [f"{name}: no header comment"] if not header.strip() else []
    if len(code) > LUA_LINES:
        found.append(f"{name}: {len(code)} lines of code, the wall is {LUA_LINES}")
    if not is_script:
        kinds = sorted({kind for kind, _ in used})
        return found + [
            f"{name}: its header doesn't say what it takes from {kind}" for kind in kinds if kind not in header
        ]
    missing = sorted(used - _named_arguments(header, highest=max((place for _, place in used), default=0)))
    return found + [f"{name}: its header doesn't name {kind}[{place}]" for kind, place in missing]


def _named_arguments(header: str, *, highest: int) -> set[tuple[str, int]]:
    named: set[tuple[str, int]] = set()
    for kind, first, onwards in _LUA_NAMED.findall(header):
        last = highest if onwards else int(first)
        named.update((kind, place) for place in range(int(first), last + 1))
    return named


def silent_tests(source: str, name: str) -> list[str]:
    """Name the test functions that don't say in a docstring what they prove."""
    return [
        f"{name}:{function.lineno} {function.name}: no docstring"
        for function in functions(source)
        if function.name.startswith("test") and not ast.get_docstring(function)
    ]


def problems() -> list[str]:
    """Look through the whole checkout."""
    found: list[str] = []
    for check, paths in ((oversized, sources()), (lua_problems, scripts()), (silent_tests, tests())):
        for path in paths:
            found += check(path.read_text(encoding="utf-8"), str(path.relative_to(ROOT)))
    return found


if __name__ == "__main__":
    lines = problems()
    sys.stdout.write("\n".join(lines or ["sizes, Lua headers and test docstrings: as they should be"]) + "\n")
    sys.exit(bool(lines))
