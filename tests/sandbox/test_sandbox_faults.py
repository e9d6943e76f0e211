"""What goes wrong on purpose: who meets what, and that the books then show the truth."""

import asyncio

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aimusic_async.sandbox import Fate, Fault, Options, RandomFaults, Script
from aimusic_async.sandbox.faults import EVERYTHING

SONG = {"custom_mode": True, "mv": "sonic-v5", "prompt": "la", "title": "Lanterns"}
CREATE = "sonic.create_music"
DROPPED = Fault.dropped(taken=True)
DESCRIPTION = {"type": "bgm", "version": "v1.0", "description": "rain", "duration": 60}


async def post(caller, body=SONG, path="/sonic/create"):
    """The status of a POST that keeps to the rate limit; None when its answer was lost."""
    await asyncio.sleep(caller.box.options.period / caller.box.options.speed)
    headers = {"Authorization": f"Bearer {caller.box.key}"}
    try:
        async with caller.http.post(f"{caller.box.url}/api/v1{path}", json=body, headers=headers) as answer:
            await answer.read()
            return answer.status
    except aiohttp.ClientError:
        return None


class TestScript:
    def meet(self, script, *operations):
        return [script.meet("GET" if name.endswith("task") else "POST", name, 0) for name in operations]

    def test_each_request_uses_up_the_first_step_that_fits_it(self):
        script = Script((CREATE, DROPPED), (CREATE, None), (CREATE, Fault.slow()), ("sonic.task", Fault.error(503)))
        met = self.meet(script, "sonic.remaster", CREATE, "sonic.task", CREATE, CREATE, CREATE)
        assert [fault for fault, _ in met] == [None, DROPPED, Fault.error(503), None, Fault.slow(), None]
        assert script.left == 0

    @pytest.mark.parametrize("place", [CREATE, "sonic", "POST", "*"])
    def test_a_step_fits_an_operation_a_family_a_method_or_all(self, place):
        others = {CREATE: ["sonic.get_bpm"], "sonic": ["nuro.create_vocal"], "POST": ["sonic.task"], "*": []}[place]
        script = Script((place, DROPPED))
        assert self.meet(script, *others, CREATE) == [(None, None)] * len(others) + [(DROPPED, None)]

    def test_a_bare_fault_fits_all_and_a_fate_only_what_may_start_a_task(self):
        script = Script(DROPPED, Fate.hangs(), None, ("nuro", DROPPED, Fate.fails()))
        assert self.meet(script, "sonic.task", "sonic.task", CREATE, "nuro.task", "nuro.create_vocal") == [
            (DROPPED, None),
            (None, None),
            (None, Fate.hangs()),
            (None, None),
            (DROPPED, Fate.fails()),
        ]

    @pytest.mark.parametrize(
        "step",
        [
            ("sonic.create_musik", DROPPED),
            ("PUT", DROPPED),
            (CREATE, "dropped"),
            (CREATE, DROPPED, DROPPED),
            (CREATE, Fault.dropped(), Fate.hangs()),
            "dropped",
            (),
        ],
        ids=str,
    )
    def test_a_step_that_makes_no_sense_is_refused(self, step):
        with pytest.raises((ValueError, TypeError)):
            Script(step)


class TestRandomFaults:
    def met(self, faults, count=4000, method="POST"):
        return [faults.meet(method, CREATE, ordinal) for ordinal in range(count)]

    @given(seed=st.integers(), share=st.floats(0, 1), order=st.permutations(range(8)))
    def test_what_a_request_meets_follows_from_the_seed_and_its_number_alone(self, seed, share, order):
        first, second = RandomFaults(share, seed=seed), RandomFaults(share, seed=seed)
        reported = {ordinal: second.meet("POST", CREATE, ordinal) for ordinal in order}
        assert [reported[ordinal] for ordinal in range(8)] == self.met(first, 8)

    def test_a_share_of_requests_and_a_share_of_tasks_is_hit_and_each_kind_comes(self):
        met = self.met(RandomFaults(0.2, seed=3, task_share=0.4))
        faults, fates = [fault for fault, _ in met if fault], [fate for _, fate in met if fate]
        assert len(faults) / len(met) == pytest.approx(0.2, abs=0.03)
        assert len(fates) / len(met) == pytest.approx(0.4, abs=0.03)
        assert {*faults, *fates} == set(EVERYTHING)

    def test_seeds_differ_and_the_share_is_also_that_of_tasks_by_default(self):
        met = self.met(RandomFaults(0.2, seed=1))
        assert met != self.met(RandomFaults(0.2, seed=2))
        assert sum(fate is not None for _, fate in met) / len(met) == pytest.approx(0.2, abs=0.03)

    @pytest.mark.parametrize(("share", "hit"), [(0.0, {False}), (1.0, {True})])
    def test_nothing_and_everything(self, share, hit):
        assert {fault is not None and fate is not None for fault, fate in self.met(RandomFaults(share), 200)} == hit

    def test_only_what_is_given_is_chosen_from_and_a_get_has_no_fate(self):
        assert set(self.met(RandomFaults(1.0, among=[DROPPED]), 50)) == {(DROPPED, None)}
        assert set(self.met(RandomFaults(1.0, among=[Fate.hangs()]), 50)) == {(None, Fate.hangs())}
        assert {fate for _, fate in self.met(RandomFaults(1.0), 50, "GET")} == {None}


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: RandomFaults(1.5),
        lambda: RandomFaults(task_share=-1),
        lambda: RandomFaults(seed="x"),
        lambda: RandomFaults(among=()),
        lambda: RandomFaults(among=["dropped"]),
        lambda: Fault.error(404),
        lambda: Fault.slow(-1),
        lambda: Fate.vanishes(after=-1),
        lambda: Options(faults="dropped"),
        lambda: Options(faults=DROPPED),
    ],
)
def test_values_that_make_no_sense_are_refused(wrong):
    with pytest.raises((ValueError, TypeError)):
        wrong()


def test_each_fault_has_a_short_name_for_the_books():
    assert [str(one) for one in dict.fromkeys(map(str, EVERYTHING))] == [
        "429",
        "500",
        "502",
        "503",
        "500 taken",
        "502 taken",
        "504 taken",
        "dropped",
        "dropped taken",
        "half body",
        "cut JSON",
        "slow",
        "stalled",
        "stalled taken",
        "fails",
        "hangs",
        "vanishes",
    ]


@pytest.mark.looptime
@pytest.mark.parametrize("fault", [one for one in EVERYTHING if isinstance(one, Fault)], ids=str)
async def test_what_is_taken_and_charged_is_what_the_fault_says_and_the_books_tell_it(opened, fault):
    async with opened(faults=Script((CREATE, fault))) as caller:
        status = await post(caller)
        books, [asked] = caller.box.books, caller.box.books.requests
        assert (asked.fault, asked.operation) == (fault, CREATE)
        assert books.charged == (10 if fault.taken else 0)
        assert [(entry.fault, entry.task_id) for entry in books.taken()] == [(fault, asked.task_id)] * fault.taken
        assert (asked.task_id is not None) == fault.taken
        assert asked.status == (200 if fault.kind == "half body" else status or 0)
        assert status == {"refused": 429, "error": fault.status, "slow": 200, "cut JSON": 200}.get(fault.kind)
        assert await post(caller) == 200
        assert books.requests[1].fault is None
        assert books.taken()[-1].fault is None


@pytest.mark.looptime
@pytest.mark.parametrize(
    ("fault", "counts"), [(Fault.refused(), False), (Fault.error(503), True), (Fault.dropped(), True)], ids=str
)
async def test_a_request_that_meets_a_fault_uses_up_rate_limit_unless_it_is_refused(opened, fault, counts):
    async with opened(faults=Script(fault)) as caller:
        await post(caller)
        assert (await caller.raw("POST", "/sonic/create", SONG))[0] == (429 if counts else 200)
        await asyncio.sleep(0.5)
        assert (await caller.raw("POST", "/sonic/create", SONG))[0] == 429
        assert [one.fault for one in caller.box.books.refusals] == ([None, None] if counts else [fault, None])


@pytest.mark.looptime
async def test_what_is_refused_anyway_meets_nothing(opened):
    script = Script(*[Fault.error(503)] * 3)
    async with opened(faults=script, riffusion_gone=True) as caller:
        await caller.raw("GET", "/get-credits", key="wrong")
        assert await post(caller, [], "/sonic/create") == 400
        assert (await caller.raw("POST", "/sonic/create", SONG))[0] == 429
        assert await post(caller, {}, "/riffusion/create") == 410
        assert script.left == 3
        async with caller.http.get(f"{caller.box.url}/api/v1/nowhere") as answer:
            assert answer.status == 404
        for path in ("/get-credits", "/sonic/task/x", "/producer/task/x"):
            await asyncio.sleep(3)
            async with caller.http.get(
                f"{caller.box.url}/api/v1{path}", headers={"Authorization": f"Bearer {caller.box.key}"}
            ) as answer:
                assert answer.status == 503
        assert script.left == 0


@pytest.mark.looptime
async def test_a_wrong_request_is_not_taken_whatever_happens_to_its_answer(opened):
    async with opened(faults=Script(DROPPED)) as caller:
        assert await post(caller, {**SONG, "mv": "x"}) is None
        assert caller.box.books.taken() == []


@pytest.mark.looptime
async def test_a_lost_song_can_be_looked_up_by_what_was_asked_and_by_its_task(opened):
    async with opened(faults=Script(DROPPED)) as caller:
        books = caller.box.books
        await post(caller, {**SONG, "title": "First"})
        await post(caller, {**SONG, "title": "Second"})
        [lost] = books.taken(title="First")
        assert (lost.fault, lost.credits) == (DROPPED, 10)
        assert books.taken(CREATE, title="First", prompt="la") == [lost]
        assert books.taken("sonic.remaster", title="First") == books.taken(nothing=None) == []
        assert books.task(lost.task_id) == lost
        with pytest.raises(KeyError):
            books.task("unknown")
        assert (await caller.ended(lost.task_id))["data"][0]["title"] == "First"


@pytest.mark.looptime
async def test_a_task_that_is_to_fail_fails_and_is_refunded(opened):
    async with opened(faults=Script(Fate.fails()), timeout_rate=1.0, durations={"sonic": 100}) as caller:
        task_id = (await caller.done("/sonic/create", SONG))["task_id"]
        clips = (await caller.ended(task_id))["data"]
        assert {clip["state"] for clip in clips} == {"failed"}
        await asyncio.sleep(100)
        entry = caller.box.books.task(task_id)
        assert (entry.fate, entry.refunded, caller.box.books.balance) == (Fate.fails(), 10, 10_500)


@pytest.mark.looptime
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/sonic/create", SONG),
        ("/sonic/create", {**SONG, "webhook_url": "https://example.invalid/hook"}),
        ("/producer/create", {"task_type": "create_music", "sound": "pop", "mv": "FUZZ-2.0"}),
        ("/riffusion/create", {"custom_mode": False, "mv": "FUZZ-1.1", "prompt": "a song"}),
        ("/nuro/create", DESCRIPTION),
    ],
)
async def test_a_task_that_hangs_is_never_over_nor_paid_back_whatever_the_family(opened, path, body):
    async with opened(faults=Script(Fate.hangs()), failure_rate=1.0) as caller:
        task_id = (await caller.done(path, body))["task_id"]
        family, seen = path.split("/")[1], []
        for hours in (0, 1, 24, 1000):
            await asyncio.sleep(hours * 3600)
            status, answer = await caller.get(f"/{family}/task/{task_id}")
            assert status in (200, 202)
            states = [clip["state"] for clip in answer.get("data", ())]
            seen += [*states, answer.get("status", "pending")]
        assert not {"succeeded", "failed", "SUCCESS"} & set(seen)
        books = caller.box.books
        assert (books.task(task_id).fate, books.refunded, books.task(task_id).refund_at) == (Fate.hangs(), 0, None)
        assert books.deliveries == []


@pytest.mark.looptime
@pytest.mark.parametrize(("family", "status"), [("sonic", 400), ("nuro", 404)])
async def test_a_task_that_vanishes_is_unknown_from_then_on_and_stays_paid(opened, family, status):
    script = Script(fate := Fate.vanishes(after=50))
    async with opened(faults=script, failure_rate=1.0, durations={"*": 200}, speed=2.0) as caller:
        body = {"sonic": SONG, "nuro": DESCRIPTION}[family]
        task_id = (await caller.done(f"/{family}/create", body))["task_id"]
        await asyncio.sleep(23)
        assert (await caller.get(f"/{family}/task/{task_id}"))[0] in (200, 202)
        assert await caller.get(f"/{family}/task/{task_id}") == await caller.get(f"/{family}/task/nonsense")
        assert (await caller.get(f"/{family}/task/{task_id}"))[0] == status
        await asyncio.sleep(1000)
        entry = caller.box.books.task(task_id)
        assert (entry.fate, entry.credits, entry.refunded, caller.box.books.balance) == (fate, 10, 0, 10_490)


@pytest.mark.looptime
async def test_left_to_itself_a_task_vanishes_before_it_is_done(opened):
    async with opened(faults=RandomFaults(1.0, among=[Fate.vanishes()]), period=0.1) as caller:
        tasks = [(await caller.done("/sonic/create", SONG))["task_id"] for _ in range(20)]
        unknown = []
        for _ in range(300):
            await asyncio.sleep(1)
            for task_id in tasks:
                status, answer = await caller.get(f"/sonic/task/{task_id}")
                unknown += [task_id] * (status == 400)
                assert "data" not in answer or {clip["state"] for clip in answer["data"]} != {"succeeded"}
            tasks = [task_id for task_id in tasks if task_id not in unknown]
        assert tasks == []


@pytest.mark.looptime
async def test_an_operation_without_a_task_has_no_fate(opened):
    async with opened(faults=Script(None, ("sonic.get_bpm", Fate.hangs()))) as caller:
        await post(caller)
        clip_id = (await caller.ended(caller.box.books.requests[0].task_id))["data"][0]["clip_id"]
        assert await post(caller, {"clip_id": clip_id}, "/sonic/bpm") == 200
        assert caller.box.books.taken()[-1].fate is None


@pytest.mark.looptime
async def test_the_same_seed_and_requests_meet_the_same(opened):
    async def run(seed):
        async with opened(faults=RandomFaults(0.5, seed=seed), seed=4) as caller:
            for _ in range(40):
                await post(caller)
            books = caller.box.books
            return [one.fault for one in books.requests], [(one.fault, one.fate) for one in books.taken()]

    first, again, other = await run(1), await run(1), await run(2)
    assert first == again != other
    assert len(set(first[0])) > 5


@pytest.mark.looptime
async def test_faults_can_be_switched_on_and_off_while_the_sandbox_runs(opened):
    async with opened() as caller:
        assert caller.box.faults is None
        assert await post(caller) == 200
        caller.box.faults = RandomFaults(1.0, among=[Fault.error(503)])
        assert await post(caller) == 503
        caller.box.faults = None
        assert await post(caller) == 200


@pytest.mark.looptime
async def test_anybody_may_decide_what_goes_wrong(opened):
    class EveryThird:
        def meet(self, method, operation, ordinal):
            return (Fault.error(500) if ordinal % 3 == 2 else None), None

    async with opened(faults=EveryThird()) as caller:
        assert [await post(caller) for _ in range(6)] == [200, 200, 500, 200, 200, 500]


@pytest.mark.looptime
async def test_whatever_goes_wrong_balance_charges_and_refunds_add_up(opened):
    async with opened(faults=RandomFaults(0.4, seed=2), period=0.5, speed=10) as caller:
        for _ in range(100):
            await post(caller)
        books = caller.box.books
        for _ in range(5):
            await asyncio.sleep(3)
            assert books.balance == 10_500 - books.charged + books.refunded
        taken = books.taken()
        assert {one.task_id for one in taken if one.refunded} == {
            one.task_id for one in taken if one.fate == Fate.fails()
        }
        assert {str(one.fate) for one in taken} == {"None", "fails", "hangs", "vanishes"}
        assert {one.task_id for one in books.requests if one.task_id} == {one.task_id for one in taken}
