"""What every API request passes: key, rate limit, body; and the books that record it."""

import asyncio
import logging

import pytest

pytestmark = pytest.mark.looptime

SONG = {"custom_mode": True, "mv": "sonic-v5", "prompt": "la"}


@pytest.mark.parametrize(
    ("header", "text"),
    [
        (None, "Authorization header is missing."),
        ("", "Authorization header is missing."),
        ("sandbox-key", "Invalid authorization format."),
        ("Basic sandbox-key", "Invalid authorization format."),
        ("Bearer ", "Invalid authorization format."),
        ("Bearer wrong", "Invalid API key."),
    ],
)
@pytest.mark.parametrize(("method", "path"), [("GET", "/get-credits"), ("POST", "/sonic/create")])
async def test_without_the_right_key_everything_is_401(opened, header, text, method, path):
    async with opened() as caller:
        headers = {} if header is None else {"Authorization": header}
        async with caller.http.request(method, f"{caller.box.url}/api/v1{path}", headers=headers) as answer:
            assert (answer.status, await answer.json()) == (401, {"type": "unauthorized", "error": text})
        assert caller.box.books.requests[0].key is None


async def test_the_key_is_checked_before_the_rate_limit_and_that_before_the_body_and_that_before_the_credits(opened):
    async with opened(credits=0, extra_credits=0) as caller:
        bad, good = {**SONG, "mv": "x"}, SONG
        assert (await caller.raw("POST", "/sonic/create", bad, key="wrong"))[0] == 401
        assert (await caller.raw("POST", "/sonic/create", bad))[0] == 400
        assert (await caller.raw("POST", "/sonic/create", bad))[0] == 429
        assert (await caller.raw("POST", "/sonic/create", bad, key="wrong"))[0] == 401
        assert (await caller.post("/sonic/create", good))[0] == 403


@pytest.mark.parametrize(("data", "kind"), [(b"{", "json"), (b'{"a": NaN}', "json"), (b"{}", "plain"), (b"", "json")])
async def test_a_body_that_is_no_json_object_is_refused(opened, data, kind):
    async with opened() as caller:
        types = {"json": "application/json", "plain": "text/plain"}
        headers = {"Authorization": f"Bearer {caller.box.key}", "Content-Type": types[kind]}
        url = f"{caller.box.url}/api/v1/sonic/create"
        async with caller.http.post(url, data=data, headers=headers) as answer:
            assert (answer.status, (await answer.json())["type"]) == (400, "validation_error")


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/nowhere"), ("POST", "/get-credits"), ("GET", "/sonic/create"), ("PUT", "/sonic/bpm")]
)
async def test_addresses_that_do_not_exist_can_be_404_in_json(opened, method, path):
    async with opened(unknown_addresses="json") as caller:
        status, answer = await caller.raw(method, path)
        assert (status, answer["type"]) == (404, "not_found")
        assert (await caller.raw(method, path, key="wrong"))[0] == 401


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/v1/nowhere", 404),
        ("GET", "/", 404),
        ("HEAD", "/api/v1/nowhere", 404),
        ("POST", "/api/v1/nowhere", 405),
        ("POST", "/api/v2/sonic/create", 405),
        ("PUT", "/api/v1/sonic/bpm", 405),
        ("POST", "/api/v1/get-credits", 405),
    ],
)
async def test_addresses_that_do_not_exist_answer_as_the_host_to_anybody_at_any_rate(opened, method, path, status):
    async with opened() as caller:
        await caller.credits()
        for _ in range(3):
            async with caller.http.request(method, caller.box.url + path) as answer:
                text = await answer.text()
                assert (answer.status, answer.content_type) == (status, "text/html")
                assert method == "HEAD" or text.startswith("<html>")
        await caller.credits()
        assert caller.box.books.refusals == []
        assert caller.box.books.count("unknown", status=status) == 3


async def test_errors_can_have_the_other_form(opened):
    async with opened(error_body="code") as caller:
        status, answer = await caller.get("/sonic/task/x")
        assert (status, answer) == (400, {"code": 400, "message": "task not found."})


async def test_a_mistake_of_the_sandbox_is_a_500_and_is_logged(opened, caplog):
    async with opened() as caller:
        caller.box._opened.accounts = {caller.box.key: None}
        with caplog.at_level(logging.ERROR):
            status, answer = await caller.get("/get-credits")
        assert (status, answer) == (
            500,
            {"type": "server_error", "error": "Internal Server Error.", "retriable": True},
        )
        assert "AttributeError" in caplog.text


async def test_the_books_list_every_request_with_operation_time_status_and_task(opened):
    async with opened() as caller:
        start = asyncio.get_running_loop().time()
        task_id = (await caller.done("/sonic/create", SONG))["task_id"]
        await caller.raw("POST", "/sonic/create", SONG)
        await caller.get(f"/sonic/task/{task_id}")
        await caller.credits()
        await caller.post("/sonic/bpm", {})
        async with caller.http.get(f"{caller.box.url}/api/v1/nowhere"):
            pass
        books = caller.box.books
        reported = [
            (entry.method, entry.operation, entry.status, entry.task_id, entry.at - start) for entry in books.requests
        ]
        assert reported == [
            ("POST", "sonic.create_music", 200, task_id, 3.0),
            ("POST", "sonic.create", 429, None, 3.0),
            ("GET", "sonic.task", 202, task_id, 6.0),
            ("GET", "account.get_credits", 200, None, 9.0),
            ("POST", "sonic.get_bpm", 400, None, 12.0),
            ("GET", "unknown", 404, None, 12.0),
        ]
        assert books.count() == 6
        assert books.count(method="GET") == 3
        assert books.count("sonic.task", status=202) == 1
        assert [refusal.status for refusal in books.refusals] == [429]
