"""What each event makes of a work in each state, with a journal and without: the whole table.

`lives` says what the states and the events are. `.`: nothing; `-`: it cannot happen, for the reason above the table.
"""

import pytest

from .lives import EVENTS, STATES, WITHOUT_JOURNAL, life_in, told

TAKEN = "went-well paid10 Accepted:{} changed known"
"""What is written `[t1#1]` below: the service has it as task t1, of attempt 1 (`?`: nobody knows of which)."""
WATCHED = "start-timer watch@0"
LEGEND = """
    begin1      sending: changed Begin#1
    begin2      sending: changed Begin#2
    send        sending: changed send
    sends       sending: send
    begin-anew  sending: changed NotBegun#1 Begin#2
    over        failed: Released! end
    over-1      failed: NotBegun#1 Released! end
    waits       queued: changed queue+0
    asks        queued: Enter:queued
    asks-t1     submitted: Enter:submitted
    cancel      cancelled: Released! end
    cancel-1    cancelled: NotBegun#1 Released! end
    leave       cancelled: Released end
    leave-1     cancelled: NotBegun#1 Released end
    drop        cancelled: end
    detach      detached: Released end
    drop-t1     detached: end
    unknown     unknown: Released end
    unknown-1   unknown: OutcomeUnknown#1 Released end
    lost-1      unknown: OutcomeUnknown#1 Released end report:TransportError
    sorry-1     unknown: OutcomeUnknown#1 Released end report:ServerError
    unknown-j   unknown: end
    await-l     sending: OutcomeUnknown#1 say await report:TransportError
    await-s     sending: OutcomeUnknown#1 say await report:ServerError
    fail        failed: Released end
    fail-1      failed: NotBegun#1 Released end
    failed      failed: end
    taken       submitted: [t1#1] watched
    taken-t2    submitted: [t2#1] watched
    kept        detached: [t1#1] Released end say
    kept-t2     detached: [t2#1] Released end say
    id-t1?      same: Accepted:t1#? say
    id-t2?      same: Accepted:t2#? say
    final       failed: Refused!#1 Released end
    refused     cancelled: Refused#1 Released! end
    key         failed: Refused#1 Released end report:AuthenticationError
    plan        failed: Refused#1 Released end report:SubscriptionRequired
    poor        queued: Refused#1 changed queue+0 report:InsufficientCredits
    fast        queued: report:RateLimited Refused#1 changed queue+0
    refused-f   cancelled: report:RateLimited Refused#1 Released! end
    again       queued: report:NotSent Refused#1 changed queue+1
    refused-n   cancelled: report:NotSent Refused#1 Released! end
    ran         submitted: went-well ran
    ran-url     submitted: went-well ran streams
    done        succeeded: went-well finished Finished:t1 end
    refund      failed: went-well refund Finished:t1:refunded end
    charged     failed: went-well Finished:t1:kept end
    late        detached: went-well Released end
    unclear     submitted: report:NotFound poll+1
    fast-poll   submitted: report:RateLimited poll+0
    sorry       submitted: report:ServerError poll+1
    lost        submitted: report:TransportError poll+1
    unsent      submitted: report:NotSent poll+1
    hook        submitted: withdraw [t1#?] watched went-well streams
    hook-1      submitted: withdraw NotBegun#1 [t1#?] watched went-well streams
    fly         submitted: [t1#?] watched went-well streams
    kept?       detached: [t1#?] Released end say
    kept-t2?    detached: [t2#?] Released end say
    url         submitted: went-well streams
    well        submitted: went-well
    whole       succeeded: withdraw [t1#?] watched went-well finished-now Finished:t1 end
    whole-1     succeeded: withdraw NotBegun#1 [t1#?] watched went-well finished-now Finished:t1 end
    whole-f     succeeded: [t1#?] watched went-well finished-now Finished:t1 end
    now         succeeded: went-well finished-now Finished:t1 end
    loud        failed: withdraw [t1#?] watched went-well refund Finished:t1:refunded end
    loud-1      failed: withdraw NotBegun#1 [t1#?] watched went-well refund Finished:t1:refunded end
    loud-f      failed: [t1#?] watched went-well refund Finished:t1:refunded end
    half        submitted: withdraw [t1#?] watched went-well streams poll+0
    half-1      submitted: withdraw NotBegun#1 [t1#?] watched went-well streams poll+0
    half-f      submitted: [t1#?] watched went-well streams poll+0
    half-u      submitted: went-well streams poll+0
    half-w      submitted: went-well poll+0
    odd         submitted: withdraw [t1#?] watched say poll+0
    odd-1       submitted: withdraw NotBegun#1 [t1#?] watched say poll+0
    odd-f       submitted: [t1#?] watched say poll+0
    odd-s       submitted: say poll+0
    whose       same: say
    poll        submitted: poll+0
    t2          succeeded: withdraw [t2#?] watched went-well finished-now Finished:t2 end
    t2-1        succeeded: withdraw NotBegun#1 [t2#?] watched went-well finished-now Finished:t2 end
    t2-f        succeeded: [t2#?] watched went-well finished-now Finished:t2 end
    new         queued: recorded queue
    turn        queued: queue
    turn-t1     queued: changed queue
    noted       queued: recorded
    adopt-r     submitted: recorded changed known start-timer watch~15
    adopt       submitted: changed known start-timer watch~15
    adopt-t1    submitted: known start-timer watch~15
    follow-r    submitted: recorded changed known
    follow      submitted: changed known
    known       submitted: known
    had-r       succeeded: recorded end
    bad-r       failed: recorded end
    lost-r      unknown: recorded end
    had         succeeded: end
    back        queued: changed
    ask-again   queued: changed reenter
    theirs      submitted: changed changed known
    mine        submitted: changed changed known start-timer watch~15
    lost-c      unknown: changed end
    had-c       succeeded: changed end
    rejoin      queued: withdraw Enter:submitted
    rejoin-a    sending: withdraw Enter:submitted
    re          queued: reenter
    re-t1       submitted: reenter
    had-w       succeeded: withdraw end
    bad-w       failed: withdraw end
"""

TABLES = {
    "A token, and what another job of its key does": (
        ["{}"],
        """
        -: it has no token to wait for, or nothing to send; followers alone ask again whether they may work
        state                               granted  over-budget  a-minute-later  stale  departed
        entering,asked,returning,sent,asks  -        -            -               -      -
        fresh                               begin1   over         begin1          -      -
        again                               begin2   over         begin2          -      -
        stale                               send     over-1       begin-anew      -      -
        leaving                             -        -            -               waits  .
        hooked,given-up,awaiting,rejoining  -        -            -               -      -
        submitted,overtaken,follows         -        -            -               -      -
        watches,asks-t1                     -        -            -               -      -
        succeeded,failed,unknown,cancelled  .        .            .               .      .
        detached                            .        .            .               .      .
        """,
    ),
    "A token, and what another job of its key does (2)": (
        ["{}"],
        """
        -: it has no token to wait for, or nothing to send; followers alone ask again whether they may work
        state                               submitted  taken  conflict
        entering,fresh,again,stale,asked    -          -      -
        returning,leaving,sent,hooked,asks  -          -      -
        given-up,awaiting,rejoining         -          -      -
        submitted,overtaken,asks-t1         -          -      -
        follows                             asks       .      failed
        watches                             asks-t1    .      failed
        succeeded,failed,unknown,cancelled  .          .      .
        detached                            .          .      .
        """,
    ),
    "Somebody gives it up": (
        ["{}"],
        """
        state                               cancel    timeout  released  excluded  broke
        entering,fresh,again,asks           cancel    leave    leave     fail      leave
        stale,returning                     cancel-1  leave-1  leave-1   fail-1    leave-1
        asked                               cancel-1  leave-1  leave-1   .         leave-1
        leaving                             .         .        .         .         leave-1
        sent,hooked,given-up                .         .        .         .         unknown-1
        awaiting,rejoining                  unknown   unknown  unknown   .         unknown
        submitted,overtaken,asks-t1         detach    detach   detach    .         detach
        follows                             drop      drop     drop      failed    drop
        watches                             drop-t1   drop-t1  drop-t1   .         drop-t1
        succeeded,failed,unknown,cancelled  .         .        .         .         .
        detached                            .         .        .         .         .
        """,
    ),
    "The service answers its submit": (
        ["{}"],
        """
        -: no POST of it is out
        state                              ok      ok-t2     400      401      402      403      429
        entering,fresh,again,stale,asked   -       -         -        -        -        -        -
        returning,awaiting,rejoining,asks  -       -         -        -        -        -        -
        leaving,sent,hooked                taken   taken-t2  final    key      poor     plan     fast
        given-up                           kept    kept-t2   refused  refused  refused  refused  refused-f
        submitted,follows,watches,asks-t1  -       -         -        -        -        -        -
        overtaken,succeeded,failed         .       id-t2?    .        .        .        .        .
        unknown                            id-t1?  id-t2?    .        .        .        .        .
        cancelled                          -       -         -        -        -        -        -
        detached                           .       id-t2?    .        .        .        .        .
        """,
    ),
    "The answer is a fault, or none": (
        ["{}"],
        """
        -: no POST of it is out
        state                              500        500-t1  400-t2    senseless  not-sent   lost
        entering,fresh,again,stale,asked   -          -       -         -          -          -
        returning,awaiting,rejoining,asks  -          -       -         -          -          -
        leaving,sent                       sorry-1    taken   taken-t2  sorry-1    again      lost-1
        hooked                             await-s    taken   taken-t2  await-s    again      await-l
        given-up                           sorry-1    kept    kept-t2   sorry-1    refused-n  lost-1
        submitted,follows,watches,asks-t1  -          -       -         -          -          -
        overtaken,succeeded,failed         .          .       id-t2?    .          .          .
        unknown                            .          id-t1?  id-t2?    .          .          .
        cancelled                          -          -       -         -          -          -
        detached                           .          .       id-t2?    .          .          .
        """,
    ),
    "A poll": (
        ["{}"],
        """
        -: nobody polls what has no task, or others watch
        state                               runs  streams  done  failed  kept     stuck
        entering,fresh,again,stale,asked    -     -        -     -       -        -
        returning,leaving,sent,hooked,asks  -     -        -     -       -        -
        given-up,awaiting,rejoining         -     -        -     -       -        -
        submitted                           ran   ran-url  done  refund  charged  late
        overtaken                           ran   ran      done  refund  charged  late
        follows,watches,asks-t1,unknown     -     -        -     -       -        -
        succeeded,failed,detached           .     .        .     .       .        .
        cancelled                           -     -        -     -       -        -
        """,
    ),
    "A poll that fails": (
        ["poll-{}"],
        """
        -: nobody polls what has no task, or others watch
        state                               400     404      429        500    lost  not-sent  silent
        entering,fresh,again,stale,asked    -       -        -          -      -     -         -
        returning,leaving,sent,hooked,asks  -       -        -          -      -     -         -
        given-up,awaiting,rejoining         -       -        -          -      -     -         -
        submitted,overtaken                 detach  unclear  fast-poll  sorry  lost  unsent    lost
        follows,watches,asks-t1,unknown     -       -        -          -      -     -         -
        succeeded,failed,detached           .       .        .          .      .     .         .
        cancelled                           -       -        -          -      -     -         -
        """,
    ),
    "A webhook": (
        ["{}"],
        """
        -: what others work on, and what the journal is asked about, gets none: the journal does
        state                              streaming  completed  refunded  half    odd     of-t2     of-former  of-none
        entering,returning,rejoining,asks  -          -          -         -       -       -         -          -
        fresh,again,awaiting               hook       whole      loud      half    odd     t2        .          whose
        stale,asked                        hook-1     whole-1    loud-1    half-1  odd-1   t2-1      .          whose
        leaving,sent,hooked                fly        whole-f    loud-f    half-f  odd-f   t2-f      .          whose
        given-up                           kept?      kept?      kept?     kept?   kept?   kept-t2?  .          whose
        submitted                          url        now        refund    half-u  odd-s   id-t2?    .          poll
        overtaken                          well       now        refund    half-w  odd-s   id-t2?    .          poll
        follows,watches,asks-t1            -          -          -         -       -       -         -          -
        succeeded,failed,detached          .          .          .         .       .       id-t2?    .          .
        unknown,cancelled                  id-t1?     id-t1?     id-t1?    id-t1?  id-t1?  id-t2?    .          .
        """,
    ),
    "The journal about its entering": (
        ["entered-{}"],
        """
        -: it has not asked; what nobody removes is not gone; a key that was its own stays so
        state                               queued-mine  queued-other  sending-other  submitted-mine  submitted-other
        entering                            new          noted         noted          adopt-r         follow-r
        fresh,asked                         .            -             -              .               -
        again,stale,leaving,sent,hooked     -            -             -              -               -
        returning,asks                      turn         .             .              adopt           follow
        given-up,awaiting,submitted         -            -             -              -               -
        rejoining                           unknown      .             .              adopt           follow
        overtaken,follows,watches           -            -             -              -               -
        asks-t1                             turn-t1      .             .              adopt-t1        known
        succeeded,failed,unknown,cancelled  .            .             .              .               .
        detached                            .            .             .              .               .
        """,
    ),
    "The journal about its entering (2)": (
        ["entered-{}"],
        """
        -: it has not asked; what nobody removes is not gone; a key that was its own stays so
        state                               succeeded  failed  unknown    conflict  error    gone
        entering                            had-r      bad-r   lost-r     failed    fail     failed
        fresh,again,stale,asked,leaving     -          -       -          -         -        -
        returning,asks-t1                   had        failed  unknown-j  -         fail     -
        sent,hooked,given-up,awaiting       -          -       -          -         -        -
        rejoining                           had        failed  unknown-j  -         unknown  unknown
        submitted,overtaken,follows         -          -       -          -         -        -
        watches                             -          -       -          -         -        -
        asks                                had        failed  unknown-j  failed    fail     -
        succeeded,failed,unknown,cancelled  .          .       .          -         .        -
        detached                            .          .       .          -         .        -
        """,
    ),
    "The journal about its attempt": (
        ["begun-{}"],
        """
        -: it has not asked
        state                               well   stale  adopted  elsewhere  over    cancelled
        entering,fresh,again,stale,leaving  -      -      -        -          -       -
        asked                               sends  .      back     back       failed  ask-again
        returning,sent,hooked,given-up      -      -      -        -          -       -
        awaiting,rejoining,overtaken,asks   -      -      -        -          -       -
        submitted                           .      .      .        .          .       .
        follows,watches,asks-t1,succeeded   -      -      -        -          -       -
        failed,unknown,cancelled,detached   -      -      -        -          -       -
        """,
    ),
    "The journal about its attempt (2)": (
        ["begun-{}"],
        """
        -: it has not asked
        state                               taken   mine  unknown  done   gone    error
        entering,fresh,again,stale,leaving  -       -     -        -      -       -
        asked                               theirs  mine  lost-c   had-c  failed  fail-1
        returning,sent,hooked,given-up      -       -     -        -      -       -
        awaiting,rejoining,overtaken,asks   -       -     -        -      -       -
        submitted                           .       .     .        .      .       .
        follows,watches,asks-t1,succeeded   -       -     -        -      -       -
        failed,unknown,cancelled,detached   -       -     -        -      -       -
        """,
    ),
    "The journal says that nobody has it": (
        ["heard-{}-nobody"],
        """
        state                              queued   sending  submitted  succeeded  failed  unknown  cancelled
        entering,asked,returning,leaving   .        .        .          .          .       .        .
        fresh,again,stale                  .        .        rejoin     .          .       .        .
        sent,hooked,given-up,rejoining     .        .        .          .          .       .        .
        awaiting                           unknown  .        rejoin-a   had-w      bad-w   .        .
        submitted                          .        .        .          had-w      bad-w   .        .
        overtaken,asks,asks-t1,succeeded   .        .        .          .          .       .        .
        follows                            re       re       re         re         re      re       re
        watches                            re-t1    re-t1    re-t1      re-t1      re-t1   re-t1    re-t1
        failed,unknown,cancelled,detached  .        .        .          .          .       .        .
        """,
    ),
    "The journal says that this session, or another one, has it": (
        ["heard-{}-mine", "heard-{}-other"],
        """
        state                              queued   sending  submitted  succeeded  failed  unknown  cancelled
        entering,asked,returning,leaving   .        .        .          .          .       .        .
        fresh,again,stale                  .        .        rejoin     .          .       .        .
        sent,hooked,given-up,rejoining     .        .        .          .          .       .        .
        awaiting                           unknown  .        rejoin-a   had-w      bad-w   .        .
        submitted                          .        .        .          had-w      bad-w   .        .
        overtaken,asks,asks-t1,succeeded   .        .        .          .          .       .        .
        follows                            .        .        follow     .          .       .        .
        watches                            .        .        known      .          .       .        .
        failed,unknown,cancelled,detached  .        .        .          .          .       .        .
        """,
    ),
}


def legend():
    for line in LEGEND.strip().splitlines():
        word, _, outcome = line.strip().partition(" ")
        for task in ("t1#1", "t1#?", "t2#1", "t2#?"):
            outcome = outcome.replace(f"[{task}]", TAKEN.format(task))
        yield word, outcome.replace("watched", WATCHED).strip()


OUTCOMES = dict(legend())


def cases():
    """Read the tables: each state and event, and what follows; None for what cannot happen."""
    for names, table in TABLES.values():
        head, *rows = [line.split() for line in table.strip().splitlines() if not line.strip().startswith("-:")]
        for states, *cells in rows:
            for state in states.split(","):
                for event, cell in zip(head[1:], cells, strict=True):
                    for name in names:
                        yield state, name.format(event), None if cell == "-" else cell


def expected(life, cell):
    """Return what a cell says; without a journal the same with the steps left out."""
    state, _, effects = OUTCOMES[cell].partition(":") if cell != "." else ("same", "", "")
    if not life.journal:
        asks = any(effect.startswith("Begin") for effect in effects.split())
        kept = [effect for effect in effects.split() if effect[0].islower() and effect != "recorded"]
        effects = " ".join([*kept, *(["send"] if asks else [])])
    return " ".join([f"{life.work.state if state == 'same' else state}:", *effects.split()])


CASES = [case for case in cases() if case[2] is not None]


@pytest.mark.parametrize("state", STATES)
def test_each_event_makes_of_each_state_what_the_tables_say(state):
    wrong = []
    for before, event, cell in CASES:
        if before == state:
            life = life_in(state)
            what = EVENTS[event](life)
            wanted = expected(life, cell)
            if (found := told(life, life.happen(what))) != wanted:
                wrong.append(f"{event}: wanted {wanted!r}, found {found!r}")
    assert not wrong, "\n".join([state, *wrong])


@pytest.mark.parametrize("state", WITHOUT_JOURNAL)
def test_a_job_without_a_journal_takes_the_same_path_with_the_steps_left_out(state):
    wrong = []
    for before, event, cell in CASES:
        if before == state and not event.startswith(("entered", "begun", "heard", "stale", "a-minute")):
            life = life_in(state, journal=False)
            what = EVENTS[event](life)
            wanted = expected(life, cell)
            if (found := told(life, life.happen(what))) != wanted:
                wrong.append(f"{event}: wanted {wanted!r}, found {found!r}")
    assert not wrong, "\n".join([state, *wrong])


def test_the_tables_know_every_state_and_event_once():
    known = [(state, event) for state, event, _ in cases()]
    assert len(known) == len(set(known))
    assert set(known) == {(state, event) for state in STATES for event in EVENTS}
    assert {cell for _, _, cell in CASES} - {"."} == set(OUTCOMES)
