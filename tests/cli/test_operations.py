"""`aimusic operations`: the README's table is the classes' own."""

import io
from pathlib import Path

from rich.console import Console

from aimusic_async.api.operations import operations
from aimusic_async.cli.operations import markdown, rows, show, show_fields

from .conftest import rows as rows_of
from .conftest import run

README = Path(__file__).parents[2] / "README.md"


def test_the_readme_holds_the_table_as_it_is_now():
    assert markdown() in README.read_text(), "run `aimusic operations` and put its table into the README"


def test_there_is_a_row_for_every_operation_without_an_empty_cell():
    assert len(rows()) == len(operations()) == 42
    assert all(all(cell for cell in row) for row in rows())


def test_on_a_terminal_it_is_a_table():
    out = io.StringIO()
    show(Console(file=out, force_terminal=True, width=160))
    assert "sonic.StemsFull" in out.getvalue()
    assert "| ---" not in out.getvalue()


def test_on_a_narrow_terminal_no_name_is_cut():
    out = io.StringIO()
    show(Console(file=out, force_terminal=True, width=80))
    assert all(row[0] in out.getvalue() for row in rows())


def test_one_operation_is_shown_with_its_fields_and_limits():
    out = io.StringIO()
    assert show_fields("sonic.create_music", Console(file=out, width=140))
    for words in ("mv *", "title", "at most 80 characters", "'f' | 'm'", "Between(least=10, most=360)"):
        assert words in out.getvalue()
    assert not show_fields("sonic.dance", Console(file=out))


def test_as_json_there_is_a_line_for_each():
    listed = rows_of(run("operations", "--json").stdout)
    assert [row["operation"] for row in listed] == list(operations())
    assert listed[0] == {
        "operation": "sonic.create_music",
        "class": "sonic.CreateMusic",
        "method": "POST",
        "path": "/api/v1/sonic/create",
        "answer": "task",
        "credits": 10,
        "result": "Song",
        "page": "create music",
    }
    fields = {row["field"]: row for row in rows_of(run("operations", "sonic.create_music", "--json").stdout)}
    assert fields["vocal_gender"]["type"] == ["f", "m"]
    assert (fields["mv"]["required"], fields["title"]["limits"]) == (True, ["MaxLength(characters=80)"])


def test_an_operation_that_is_none_is_wrong_usage():
    done = run("operations", "sonic.creat_music")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "did you mean sonic.create_music?" in done.stderr
