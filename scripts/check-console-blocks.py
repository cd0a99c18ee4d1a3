#!/usr/bin/env python3
"""Runs the ```console blocks of Markdown files and compares what they print with what the page says.

    scripts/check-console-blocks.py README.md docs/*.md
    scripts/check-console-blocks.py --update README.md      write what was printed into the page

A line `$ command` is run with bash; `> ` continues it. The lines below are what it must print, standard output and
standard error as they come, where `…` alone on a line stands for any lines and `[..]` for anything within a line.
`? 3` as the last line is the exit code; without it the code must be 0. A command with no lines below is only run.
`<!-- console: skip -->` on the line before a block leaves it out, and the summary says so.

The blocks of one page run in order in one copy of the tree as it is now, uncommitted changes included, with the
directory of the built binary (`$CARGO_TARGET_DIR/debug` or `target/debug`) first in PATH. Python 3.8, no packages.
"""

import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
SKIP = "<!-- console: skip -->"
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
# What differs from run to run and so counts as `[..]`: ids, moments, commits, and the time something took.
VOLATILE = [
    re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"),
    re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"),
    re.compile(r"\bsha256:[0-9a-f]{8,}\b"),
    re.compile(r"(?<= · )[0-9a-f]{7}(?= |$)"),
    re.compile(r"(?<= in )\d+(\.\d+)? (ms|s)\b"),
    re.compile(r"\b(Mon|Tue|Wed|Thu|Fri|Sat|Sun) \d\d [A-Z][a-z]{2} \d{4}, \d\d:\d\d [A-Z]{2,4}( \(in [^)]*\))?"),
]


class Command:
    def __init__(self, line_number, text):
        self.line_number, self.text = line_number, text
        self.expected, self.code, self.stated = [], 0, False


def blocks_of(lines):
    """Yields (first line, one past the last line, commands, skipped) of every console block; lines count from 0."""
    at = 0
    while at < len(lines):
        if lines[at].strip() != "```console":
            at += 1
            continue
        start, commands = at + 1, []
        end = next((i for i in range(start, len(lines)) if lines[i].strip() == "```"), None)
        if end is None:
            sys.exit(f"line {at + 1}: this block has no end")
        for i in range(start, end):
            line = lines[i]
            if line.startswith("$ "):
                commands.append(Command(i + 1, line[2:]))
            elif not commands:
                sys.exit(f"line {i + 1}: a console block begins with `$ `")
            elif line.startswith("> ") and not commands[-1].expected:
                commands[-1].text += "\n" + line[2:]
            elif re.fullmatch(r"\? \d+", line):
                commands[-1].code, commands[-1].stated = int(line[2:]), True
            else:
                commands[-1].expected.append(line.rstrip())
        yield start, end, commands, at > 0 and lines[at - 1].strip() == SKIP
        at = end + 1


def matches(expected, actual):
    """Whether the printed lines fit the page's lines; `…` may stand for none."""
    if not expected:
        return not actual
    if expected[0].strip() == "…":
        return any(matches(expected[1:], actual[i:]) for i in range(len(actual) + 1))
    if not actual:
        return False
    pattern = ".*".join(re.escape(part) for part in expected[0].split("[..]"))
    return re.fullmatch(pattern, actual[0]) is not None and matches(expected[1:], actual[1:])


def trimmed(lines):
    lines = [line.rstrip() for line in lines]
    while lines and not lines[-1]:
        lines.pop()
    while lines and not lines[0]:
        lines.pop(0)
    return lines


def copy_of_tree(folder):
    subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(folder)], check=True)
    changed = subprocess.run(["git", "ls-files", "-z", "--modified", "--others", "--exclude-standard"], cwd=ROOT,
                             check=True, stdout=subprocess.PIPE).stdout.decode().split("\0")
    for name in filter(None, changed):
        target = folder / name
        if (ROOT / name).exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)
        elif target.exists():
            target.unlink()


def run(command, folder, environment):
    done = subprocess.run(["bash", "-c", command.text], cwd=folder, env=environment, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=900)
    return done.returncode, trimmed(ANSI.sub("", done.stdout.decode(errors="replace")).splitlines())


def steady(line):
    for pattern in VOLATILE:
        line = pattern.sub("[..]", line)
    return line


def check(page, update, environment):
    lines = page.read_text(encoding="utf-8").split("\n")
    passed, failed, left_out, written = 0, 0, 0, []
    with tempfile.TemporaryDirectory(prefix="console-") as scratch:
        folder = pathlib.Path(scratch) / "tree"
        for start, end, commands, skipped in blocks_of(lines):
            if skipped:
                left_out += 1
                continue
            if not folder.exists():
                copy_of_tree(folder)
            fresh = []
            for command in commands:
                code, printed = run(command, folder, environment)
                expected = [steady(line) for line in trimmed(command.expected)]
                right = code == command.code and (not expected or matches(expected, printed))
                fresh += ["$ " + command.text.replace("\n", "\n> ")]
                fresh += command.expected if right and command.expected else [steady(line) for line in printed]
                fresh += [f"? {code}"] if code else []
                if right:
                    passed += 1
                elif not update:
                    failed += 1
                    print(f"{page}:{command.line_number}: $ {command.text}", file=sys.stderr)
                    if code != command.code:
                        print(f"  exit code {code}, the page says {command.code}", file=sys.stderr)
                    print("".join(f"  - {line}\n" for line in command.expected), end="", file=sys.stderr)
                    print("".join(f"  + {line}\n" for line in printed), end="", file=sys.stderr)
            written.append((start, end, fresh))
    if update:
        for start, end, fresh in reversed(written):
            lines[start:end] = "\n".join(fresh).split("\n")
        page.write_text("\n".join(lines), encoding="utf-8")
    return passed, failed, left_out


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pages", nargs="+", type=pathlib.Path)
    parser.add_argument("--update", action="store_true", help="write what was printed into the pages")
    arguments = parser.parse_args()

    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target").resolve()
    environment = dict(os.environ, NO_COLOR="1", COLUMNS="100", LC_ALL="C.UTF-8", CARGO_TARGET_DIR=str(target))
    environment["PATH"] = f"{target / 'debug'}{os.pathsep}{environment['PATH']}"

    totals = [0, 0, 0]
    for page in arguments.pages:
        totals = [a + b for a, b in zip(totals, check(page, arguments.update, environment))]
    print("{} commands as the pages say, {} not, {} blocks left out on purpose".format(*totals))
    sys.exit(1 if totals[1] else 0)


if __name__ == "__main__":
    main()
