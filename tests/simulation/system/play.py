"""One seed: an empty bucket, everything that can happen to it, and what must come of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random

from sluice.extract import extract
from sluice.layout import Subdir
from sluice.messages.delivery import Delivery
from sluice.reconcile.context import ReconcileRequest
from testkit.memory_store import Hook, Stored
from testkit.scheduler import Hooked, Stage
from tests.simulation.system import retirements
from tests.simulation.system.brakes import newest_waiting
from tests.simulation.system.clock import HOUR, MINUTE, SECOND
from tests.simulation.system.functions import EXPECTED
from tests.simulation.system.habits import Habits
from tests.simulation.system.invocations import Gate, Invocation, Invocations
from tests.simulation.system.kinds import habits_of
from tests.simulation.system.laptops import FOREVER_MS
from tests.simulation.system.packages import FILENAMES
from tests.simulation.system.rejects import Unnoted
from tests.simulation.system.rest import (
    check_garbage,
    check_indexes,
    check_misplaced,
    check_snapshots,
    check_that_nothing_waits,
)
from tests.simulation.system.tuning import deploy_new_extractor, tuned
from tests.simulation.system.world import RECONCILE_TIMEOUT_MS, Source, World

_FUNCTIONS_MAX = 6
"""At once."""
_TICKS_MS = (1, 5, 20, 80)
"""What a request takes."""
_INVOKED = 0.2
"""How likely a message is handed out while others are at work."""
_WAITS = 0.5
"""How likely nothing happens until something does by itself."""
_SCHEDULED = 0.5
"""How likely a reconcile comes right after much time has passed."""
_COMPARED = 0.8
"""How likely a reconcile comes to its end on a day."""
_JUMPS_AHEAD = 0.1
"""How likely much time passes over those who are at work."""
_RARELY = 0.1
_OPERATOR = "operator"
_ADMINISTRATOR = "administrator"
_OPERATOR_MS = 10 * MINUTE
_DRAIN_TURNS_MAX = 20_000
_COLLECTIONS_MAX = 50
_MUCH = 1000
_RETIRES_ON_A_DAY = 0.5
"""How likely somebody retires a channel on a day, where anybody does."""
_FILLED = 0.7
"""How likely a flood is at its height when everything comes to rest."""
_DAYS_OF_CHECKS = len(FILENAMES) + 2
_TOLD = ("put reconciliations/", "put marks/")
"""What a run tells of itself, and since when it has seen what: no changes."""
_EVERYTHING = ReconcileRequest()

Tell = Callable[[str], None]


def play(seed: int, tell: Tell | None = None) -> None:
    """Play one seed to its end; raises ``AssertionError`` where something is not as it must be.

    ``tell`` is given a line for each thing that happens.
    """
    habits = habits_of(seed)
    rng = Random(seed)  # noqa: S311 - to be repeated, not to be secret
    naps_rng = Random(f"sleepers of {seed}")  # noqa: S311
    lies = Random(f"lies of {seed}")  # noqa: S311
    with tuned(habits):
        _Play(habits, rng, naps_rng, lies, tell).play()


class _Play:
    """The course of things in one world."""

    def __init__(
        self, habits: Habits, rng: Random, naps_rng: Random, lies: Random, tell: Tell | None
    ) -> None:
        self._habits = habits
        self._rng = rng
        self._tell = tell
        self._world = world = World(habits, rng, naps_rng, lies)
        self._clock = world.clock
        self._people = world.people
        self._invariants = world.invariants
        self._changes: list[str] = []
        self._sent: list[str] = []
        world.channel.watch = partial(self._changed, world.invariants.in_channel)
        world.state.watch = partial(self._changed, world.invariants.in_state)
        for queue in (world.uploads, world.slow_uploads, world.merges):
            queue.sent = self._was_sent
        gate = Gate()
        queues = [source.queue for source in world.sources]
        self._hooked: list[Hooked] = [world.channel, world.state, *queues, gate]
        self._stage = Stage(*self._hooked, on_step=self._tick)
        self._invocations = Invocations(habits, self._stage, gate, world.clock, rng, self._note)
        world.channel.sender = world.state.sender = lambda: self._invocations.current

    # --- the course of things --------------------------------------------------------------

    def play(self) -> None:
        """Let everything happen and come to rest."""
        habits = self._habits
        with self._stage:
            self._narrate()
            for subdir in habits.subdirs:
                if self._rng.random() < habits.indexed_before:
                    self._people.index_as_others_do(subdir)
            if habits.patched:
                self._note(self._people.ask_for_patches())
            self._world.disturb(habits)
            for turn in range(habits.turns):
                if habits.new_extractor and turn == habits.turns // 2:
                    deploy_new_extractor()
                self._turn()
            for day in range(habits.days):
                self._day(busy=day == 0)
            if habits.floods and self._rng.random() < _FILLED:
                self._fill(self._rng.choice(habits.subdirs))
            self._people.settle_configurations()
            self._world.leave_in_peace()
            self._come_to_rest()

    def _turn(self) -> None:
        rng, habits = self._rng, self._habits
        self._invocations.stop_overdue()
        if habits.switches and rng.random() < habits.switches and self._administer():
            return
        if (habits.naps and self._on_laptops()) or self._index_again() or self._retire():
            return
        if habits.amends and rng.random() < habits.amends and self._may_amend():
            self._amend()
            return
        drawn = rng.random()
        if drawn < habits.acts:
            self._note(self._people.act())
        elif (drawn := drawn - habits.acts) < habits.jumps and self._may_jump():
            self._pass_hours(rng.choice(habits.jump_hours))
            if rng.random() < _SCHEDULED and self._has_room:
                self._reconcile(_EVERYTHING)
        elif drawn - habits.jumps < habits.reconciles and self._has_room:
            self._reconcile(self._request())
        else:
            awake = self._invocations.awake
            invokes = self._has_room and (not awake or rng.random() < _INVOKED)
            if invokes and self._invoke():
                return
            if awake:
                self._invocations.disturb_or_run(rng.choice(awake))
            else:
                self._wait()

    def _administer(self) -> bool:
        """Have an administrator do something; tells whether there was anything to do."""
        administrators = self._world.administrators
        if self._invocations.running:
            # A restore waits until all is quiet, for what runs talks to the bucket of before.
            busy = any(one.name.startswith(_ADMINISTRATOR) for one in self._invocations.running)
            chosen = administrators.choose() if self._has_room and not busy else None
        else:
            chosen = administrators.choose()
            if chosen is None and (what := administrators.act()):
                self._note(what)
                return True
        if chosen is None:
            return False
        what, work = chosen
        self._note(what)
        self._invocations.begin(_ADMINISTRATOR, work, timeout_ms=_OPERATOR_MS)
        return True

    def _on_laptops(self) -> bool:
        """Let something happen on a machine that sleeps, or while it does; tells whether it did."""
        laptops, now = self._world.laptops, self._clock.ms
        mine = [one for one in self._invocations.running if one.on_laptop]
        if not mine:
            if not (self._has_room and laptops.begins()):
                return False
            name, what, work = laptops.choose(may_amend=self._may_amend())
            self._note(what)
            self._invocations.begin(name, work, timeout_ms=FOREVER_MS, on_laptop=True)
            return True
        (one,) = mine
        if one.asleep_until <= now:
            asleep_ms = laptops.falls_asleep(one.actor.next)
            if asleep_ms is not None:
                self._invocations.nap(one, asleep_ms)
            return asleep_ms is not None
        hours = laptops.hours_pass()
        if hours is not None:
            self._pass_hours(hours)
            if self._has_room:
                self._reconcile(_EVERYTHING)
        return hours is not None

    def _retire(self, *, more: float = 0.0) -> bool:
        """Have somebody retire a channel, in a world where anybody does; tells whether they do.

        ``more``: how likely that is, if more than in each turn.
        """
        likely = max(self._habits.retires, more) if self._habits.retires else 0.0
        if not likely or self._rng.random() >= likely or not self._has_room:
            return False
        what, work = self._world.retirements.choose()
        self._note(what)
        self._invocations.begin(retirements.NAME, work, timeout_ms=_OPERATOR_MS)
        return True

    def _day(self, *, busy: bool) -> None:
        """Let people do something, all of it be done, and comparisons find what was not heard."""
        rng, habits = self._rng, self._habits
        for _ in range(3 * habits.places if busy else rng.randint(0, habits.day_acts)):
            self._note(self._people.act())
        self._retire(more=_RETIRES_ON_A_DAY)
        subdir = rng.choice(habits.subdirs)
        if rng.random() < habits.refills:
            self._note(self._people.refill(subdir))
        self._drain()
        self._note(self._people.lose(subdir))
        if rng.random() < _COMPARED:
            self._reconcile_to_the_end()
        else:
            for _ in range(rng.randrange(3)):
                self._reconcile(self._request())
                for _ in range(rng.randrange(20)):
                    self._turn()
        self._pass_hours(rng.choice(habits.jump_hours))

    def _may_amend(self) -> bool:
        working = any(one.name.startswith(_OPERATOR) for one in self._invocations.running)
        return self._has_room and not working

    def _may_jump(self) -> bool:
        # More often than not when all is quiet, or hardly anything would ever come to its end.
        return not self._invocations.running or self._rng.random() < _JUMPS_AHEAD

    def _index_again(self) -> bool:
        """Let another tool index a subdir again between two steps of its take-over.

        Tells whether it does.  No function may be running: one that has read the index of before
        may replace this one.
        """
        if not self._habits.reindexes or self._invocations.running:
            return False
        stored = self._world.state.objects
        under_way = [one for one in self._habits.subdirs if one.take_over_key in stored]
        if not under_way or self._rng.random() >= self._habits.reindexes:
            return False
        self._note(self._people.index_again(self._rng.choice(under_way)))
        return True

    @property
    def _has_room(self) -> bool:
        return len(self._invocations.running) < _FUNCTIONS_MAX

    def _settle_parameters(self) -> None:
        if self._habits.switches:
            self._drain()  # what was started with other parameters ends first
            self._note("every parameter is right, every channel bound")
            self._world.administrators.settle()

    def _settle_retirements(self) -> None:
        if self._habits.retires:
            self._drain()  # what is refused meanwhile ends in a dead-letter queue
            self._note("every retirement is completed")
            with self._invariants.by_retirement():
                self._world.retirements.settle()

    def _end_channels(self) -> None:
        """Retire each channel for good, and then start it anew."""
        if not self._habits.retires:
            return
        for name in sorted({subdir.channel for subdir in self._habits.subdirs}):
            for subdir in self._habits.with_noarch:
                if subdir.channel == name:
                    self._people.delete_packages(subdir)
            self._drain()
            self._reconcile_to_the_end()
            self._note(f"retire {name!r} for good")
            with self._invariants.by_retirement():
                self._world.retirements.end(name)
        self._check("retirement")
        self._check_that_nothing_is_left_to_do()
        for name in sorted({subdir.channel for subdir in self._habits.subdirs}):
            self._people.upload_everywhere(name)
        self._drain()
        for _ in range(2):
            self._reconcile_to_the_end()
        self._check("a new beginning")

    def _come_to_rest(self) -> None:
        self._settle_parameters()
        self._settle_retirements()
        self._drain()
        self._check_events_alone()
        if self._habits.floods:
            self._let_flood_end()
        # Rejects for what could not be read are tried again after most of a day.
        self._pass_hours(25)
        if self._habits.brakes:  # what waits, and what is found to be missing only now
            self._reconcile_to_the_end()
            self._pass_hours(24 * self._habits.brake_days + 1)
        for _ in range(2):
            # S3 dates to the second, so the first of them may begin just before garbage is due.
            self._clock.advance(2 * SECOND)
            self._reconcile_to_the_end()
        self._check_digests()
        self._check("reconcile")
        check_misplaced(self._world.channel, self._world.state, self._habits.with_noarch)
        self._invariants.check_extractors(extract.EXTRACTOR_VERSION)
        self._invariants.check_pins()
        self._check_that_nothing_is_left_to_do()
        for subdir in filter(self._invariants.is_published, self._habits.subdirs):
            self._note(self._people.meddle(subdir))
        if self._habits.configures:
            self._note(self._people.configure_unheard())
        self._reconcile_to_the_end()
        self._check("reconcile of what others did")
        if self._habits.naps:
            # What somebody has written and given up, after the last sweep, waits for a change.
            self._world.functions.move_heads(
                sorted({subdir.channel for subdir in self._habits.subdirs})
            )
            self._drain()
        self._pass_hours(24 * (self._habits.retention_days + 1) + 1)
        for _ in range(_COLLECTIONS_MAX):
            if not self._reconcile_to_the_end():
                break
        self._check("garbage collection")
        check_that_nothing_waits(self._world.state)
        self._check_snapshots()
        for subdir in self._habits.with_noarch:
            reachable = self._invariants.reachable(subdir)
            check_garbage(self._world.channel, self._world.state, subdir, reachable)
        self._end_channels()

    def _check_snapshots(self) -> None:
        if self._habits.packs:
            names = sorted({subdir.channel for subdir in self._habits.subdirs})
            opened = [self._world.opener.open(name, 0) for name in names]
            check_snapshots(opened, self._habits.with_noarch, self._clock.ms)

    def _check_events_alone(self) -> None:
        if not self._world.events_lost and not self._habits.late:
            # A merge that overslept may have written again what a newer one has tidied away.
            self._check(
                "events alone",
                tidied=not self._habits.oversleeps,
                unnoted=self._unnoted(compared=False),
            )

    def _fill(self, subdir: Subdir) -> None:
        """Flood a subdir, and let people do something with it being full."""
        self._note(self._people.flood(subdir))
        self._drain()
        for _ in range(2 * self._habits.places):
            self._note(self._people.act())

    def _let_flood_end(self) -> None:
        """Hold the system to what it does while a flood is on, and then have it deleted."""
        self._pass_hours(25)
        for _ in range(2):
            self._reconcile_to_the_end()
        self._check("reconcile in a flood", unnoted=self._unnoted(compared=True))
        check_that_nothing_waits(self._world.state)
        self._note(self._people.end_flood())
        self._drain()

    def _unnoted(self, *, compared: bool) -> Unnoted | None:
        """What the catalog need not know at this time."""
        if not self._habits.floods:
            return None
        # An event that ended in a dead-letter queue is as good as none.
        dead = any(source.queue.dead for source in self._world.sources)
        unheard = self._people.places if dead else self._invariants.unheard
        return Unnoted(self._habits.reject_limits.kept, compared, frozenset(unheard))

    def _check_digests(self) -> None:
        """Let all digests be checked, some on each day."""
        if self._habits.misstates:
            for _ in range(_DAYS_OF_CHECKS):
                self._pass_hours(25)
                self._reconcile_to_the_end()

    def _check_that_nothing_is_left_to_do(self) -> None:
        self._sent.clear()
        done = self._reconcile_to_the_end()
        if self._habits.garbage_at_once < _MUCH:  # what one run leaves, the next collects
            done = [one for one in done if not one.startswith("delete ")]
        assert not done, f"a further reconcile did something: {done}"
        assert not self._sent, f"a further reconcile asked for something: {self._sent}"

    def _check(self, after: str, *, tidied: bool = True, unnoted: Unnoted | None = None) -> None:
        self._note(f"at rest after {after}")
        check_indexes(
            self._world.channel,
            self._world.state,
            self._habits.with_noarch,
            tidied=tidied,
            limits=self._habits.reject_limits,
            unnoted=unnoted,
        )

    def _drain(self) -> None:
        """Let all that is under way come to its end, undisturbed."""
        for _ in range(_DRAIN_TURNS_MAX):
            if awake := self._invocations.awake:
                self._invocations.finish(self._rng.choice(awake))
            elif received := self._receive():
                self._handle(*received)
            elif self._next_due() is None:
                return
            else:
                self._wait()
        raise AssertionError("it does not come to rest")

    # --- what can be done ------------------------------------------------------------------

    def _receive(self) -> tuple[Source, Delivery] | None:
        """Take a message out of any queue that has one to hand out."""
        for source in self._rng.sample(self._world.sources, len(self._world.sources)):
            message = source.queue.receive()
            if message:
                self._note(f"{source.queue.name}: {message.body} ({message.receive_count})")
                return source, message
        return None

    def _invoke(self) -> bool:
        """Invoke a function with a message, if there is one."""
        received = self._receive()
        if received:
            source, message = received
            self._invocations.begin(
                source.queue.name,
                partial(source.handler, message),
                timeout_ms=source.timeout_ms,
                done=partial(source.queue.delete, message.receipt_handle),
            )
        return received is not None

    def _handle(self, source: Source, message: Delivery) -> None:
        """Run a function with a message, undisturbed."""
        try:
            self._invocations.do(partial(source.handler, message), timeout_ms=source.timeout_ms)
        except EXPECTED as error:
            self._note(f"failed: {error!r}")
        else:
            source.queue.delete(message.receipt_handle)

    def _request(self) -> ReconcileRequest:
        """What somebody might ask of reconcile."""
        rng = self._rng
        one = rng.choice(self._habits.with_noarch)
        channel, subdir = rng.choice(((None, None), (one.channel, None), (one.channel, one.name)))
        return ReconcileRequest(
            channel,
            subdir,
            dry_run=rng.random() < _RARELY,
            re_extract=rng.random() < _RARELY,
            confirm=self._confirmed(),
        )

    def _confirmed(self) -> str | None:
        """What the last report said that waits, where somebody wants that done."""
        confirms = self._habits.confirms
        if not confirms or self._rng.random() >= confirms:
            return None
        digest = newest_waiting(self._world.state)
        if digest:
            self._world.brakes.confirm()
        return digest

    def _amend(self) -> None:
        """Have an operator begin with something."""
        what, work = self._world.operators.choose()
        self._note(what)
        self._invocations.begin(_OPERATOR, work, timeout_ms=_OPERATOR_MS)

    def _reconcile(self, request: ReconcileRequest) -> None:
        """Begin a run."""
        self._note(f"reconcile: {request}")
        self._invocations.begin(
            "reconcile",
            partial(self._world.functions.start_reconcile, request),
            timeout_ms=RECONCILE_TIMEOUT_MS,
            is_dry_run=request.dry_run,
        )

    def _reconcile_to_the_end(self) -> list[str]:
        """Reconcile everything and see to what comes of it; returns what was changed by that."""
        self._note("reconcile")
        self._changes.clear()
        self._invocations.do(
            partial(self._world.functions.start_reconcile, _EVERYTHING),
            timeout_ms=RECONCILE_TIMEOUT_MS,
        )
        self._drain()
        return [one for one in self._changes if not one.startswith(_TOLD)]

    def _pass_hours(self, hours: int) -> None:
        self._note(f"{hours} hours pass")
        self._clock.advance(hours * HOUR)

    def _wait(self) -> None:
        """Let time pass until something happens by itself, or some of it."""
        due = self._next_due()
        by = self._rng.randrange(MINUTE)
        if due is not None and (due - self._clock.ms < by or self._rng.random() < _WAITS):
            by = max(0, due - self._clock.ms)
        self._clock.advance(by + self._rng.randrange(SECOND))

    def _next_due(self) -> int | None:
        due = [self._world.next_due(), *(one.asleep_until for one in self._invocations.running)]
        return min((at for at in due if at is not None), default=None)

    # --- what is watched -------------------------------------------------------------------

    def _changed(
        self,
        check: Callable[[str, Stored | None, Stored | None], None],
        key: str,
        before: Stored | None,
        after: Stored | None,
        sender: object,
    ) -> None:
        if isinstance(sender, Invocation) and sender.name.startswith(retirements.NAME):
            with self._invariants.by_retirement():
                check(key, before, after)
        else:
            check(key, before, after)
        self._changes.append(f"{'put' if after else 'delete'} {key}")
        if isinstance(sender, Invocation) and sender.is_dry_run:
            assert key.startswith("reconciliations/"), f"a dry run changed {key}"

    def _was_sent(self, queue: str, body: str) -> None:
        self._sent.append(f"{queue}: {body}")

    def _tick(self) -> None:
        self._clock.advance(_TICKS_MS[self._rng.getrandbits(2)])  # simulations pass millions

    def _note(self, what: str) -> None:
        if self._tell:
            self._tell(f"{self._clock.ms / 1000:.3f} {what}")

    def _narrate(self) -> None:
        if self._tell:
            for one in self._hooked:
                one.after = partial(self._narrated, one.after)

    def _narrated(self, after: Hook, operation: str, key: str) -> None:
        current = self._invocations.current
        self._note(f"    {current.name if current else ''} {operation} {key}")
        after(operation, key)
