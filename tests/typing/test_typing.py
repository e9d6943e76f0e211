"""The public types, as mypy and pyright see them: what is right passes, what is wrong is an error on its line."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

USAGE = Path(__file__).with_name("usage.py")


def wrong_lines():
    """The lines on which a checker has to complain."""
    return {number for number, line in enumerate(USAGE.read_text().splitlines(), 1) if "# error: " in line}


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, cwd=USAGE.parents[2], check=False)


@pytest.mark.timeout(120)
def test_mypy_knows_every_result_and_sees_every_misuse():
    done = run(sys.executable, "-m", "mypy", "--strict", "--no-error-summary", str(USAGE))
    complaints = [line for line in done.stdout.splitlines() if ": error: " in line]
    assert {int(re.search(r":(\d+): error", line).group(1)) for line in complaints} == wrong_lines(), done.stdout


@pytest.mark.timeout(120)
def test_pyright_knows_every_result_and_sees_every_misuse():
    done = run(sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, str(USAGE))
    report = json.loads(done.stdout)["generalDiagnostics"]
    complaints = {entry["range"]["start"]["line"] + 1 for entry in report if entry["severity"] == "error"}
    assert complaints == wrong_lines(), report


@pytest.mark.timeout(120)
def test_every_public_type_is_known(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=":")
    command = shutil.which("pyright")
    done = subprocess.run(
        [command, "--verifytypes", "aimusic_async", "--ignoreexternal", "--outputjson"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    completeness = json.loads(done.stdout)["typeCompleteness"]
    assert completeness["completenessScore"] == 1, completeness["exportedSymbolCounts"]
