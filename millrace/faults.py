"""Named places where a process can be made to die, for the crash tests: ``MILLRACE_CRASH_AT="name"`` or ``"name:3"`` (at the third hit).

Without the variable a call is one comparison. The tests in tests/faults/ take every name from ``CRASH_POINTS``.
"""

import os
import signal

from millrace.errors import ConfigurationError

CRASH_POINTS = (
    "collector.accepted",  # the request is valid, nothing of it has been given to the producer
    "collector.acknowledged",  # the broker has all its events, the client has no answer yet
    "speed.epoch_started",  # offsets are in Spark's write-ahead log, nothing of the epoch is written
    "speed.appended.log/events",
    "speed.appended.log/rejected",
    "speed.appended.speed/person",
    "speed.appended.speed/edges",
    "speed.increments_written",  # all tables have the epoch, the ledger does not
    "speed.ledger_written",  # the epoch exists, Spark has not committed the batch
    "batch.states_written",  # new versions of the batch tables exist, nobody knows them
    "batch.proved",  # the proof holds, what changes in identity is noted, the manifest row is not written
    "batch.manifest_written",  # the version is published, old ones are not yet dropped
    "replay.chosen",  # rejected records are repaired and judged, none of them is sent
    "replay.sent",  # the broker has acknowledged them, log/replays does not know
    "replay.noted",  # log/replays has them
    "pull.shaped",  # rows of a source are read and shaped, the target has none of them
    "pull.delivered",  # the target has them, their position is not noted
    "pull.noted",  # ops/source_positions has it
    "expiry.recorded",  # ops/expired says what is over, the log still holds it
    "expiry.table_emptied",  # one table of the log holds nothing of it any more
    "expiry.tiles_dropped",  # the speed tables neither; files of before are still there
    "expiry.pulled_recorded",  # ops/expired says what of pulled rows is over, their table still holds it
    "segments.decided",  # changes and position are in the follower's own state, nobody else has them
    "segments.appended",  # serving/segment_changes has the batch, Kafka has not
    "segments.published",  # the broker has acknowledged the batch, the state does not know
    "segments.delivered",  # the state knows that the batch is delivered
    "health.judged",  # windows are counted and judged, nobody has their rows
    "health.appended",  # serving/data_health has them, no alert is raised
)

VARIABLE = "MILLRACE_CRASH_AT"


def _parse(setting: str) -> tuple[str, int]:
    name, _, count = setting.partition(":")
    if name and name not in CRASH_POINTS:
        raise ConfigurationError(f"{VARIABLE} names {name!r}, which no code reaches; known: {', '.join(CRASH_POINTS)}")
    if count and not count.isdecimal():
        raise ConfigurationError(f"{VARIABLE} asks for hit {count!r}; write a number, as in {name}:3")
    return name, int(count or 1)


_armed, _hits_left = _parse(os.environ.get(VARIABLE, ""))


def crash_point(name: str) -> None:
    """Kills this process with SIGKILL when the environment asks for it here; otherwise does nothing."""
    global _hits_left
    if name != _armed:
        return
    _hits_left -= 1
    if _hits_left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
