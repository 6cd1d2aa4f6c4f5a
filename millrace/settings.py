"""Every setting of the platform: its type, its default and what it is for. ``millrace.config`` fills them from files, environment and options.

The one place that knows defaults: conf/reference.yml is written from here (``python -m jobs.show_config --reference``), and a guard compares the two.
Jobs hand the parts down; nothing below a job looks for a setting by itself.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from millrace.definitions import DEFAULT_DIRECTORY
from millrace.errors import ConfigurationError
from millrace.local.processes import split_address
from millrace.spans import Span, span_text


def _address(text: str) -> str:
    try:
        split_address(text)
    except ConfigurationError as error:
        raise ValueError(str(error).partition("; ")[2]) from None
    return text


def _addresses(text: str) -> str:
    return ",".join(_address(part.strip()) for part in text.split(","))


def _written_as(pattern: str, advice: str) -> Callable[[str], str]:
    def check(text: str) -> str:
        if re.fullmatch(pattern, text) is None:
            raise ValueError(advice)
        return text

    return check


Pause = Annotated[Span, Field(ge=0.001)]
Seconds = Annotated[Span, Field(ge=1)]
Address = Annotated[str, AfterValidator(_address)]
Addresses = Annotated[str, AfterValidator(_addresses)]
Count = Annotated[int, Field(ge=1)]
Memory = Annotated[str, AfterValidator(_written_as(r"[1-9]\d*[mg]", "write a number with m or g, such as 512m or 2g"))]
Tenant = Annotated[str, AfterValidator(_written_as(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}", "write up to 100 letters, digits, _ and -, a letter or digit first"))]


class Section(BaseModel):
    """Settings that belong together. Frozen: what a job started with holds until it ends."""

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)


def setting(default: Any, meaning: str) -> Any:
    """A setting with its default; ``meaning`` says what it does, its unit and why the default is what it is."""
    return Field(default, description=meaning)


class KafkaSettings(Section):
    """Where events go through."""

    bootstrap: Addresses = setting("127.0.0.1:9092", "Brokers as host:port, several with commas. 9092 is Kafka's own port.")
    partitions: Count = setting(
        2,
        "Partitions a tenant's topic is made with. Each is read by one task of an epoch, so two keep two cores busy; Kafka can add more later, never take one away.",
    )
    replication: Count = setting(
        1, "Copies of a partition a tenant's topic is made with. One is all a single broker can hold; a cluster of three or more should hold 3."
    )


class CollectorSettings(Section):
    """Events over HTTP."""

    listen: Address = setting(
        "127.0.0.1:8080",
        "Where the collector listens, host:port; port 0 takes any free one. Loopback, because it speaks plain HTTP: put a proxy with TLS before it.",
    )
    queue_events: Count = setting(
        50_000,
        "Events that may wait for the broker before requests are answered with 503. A few seconds under full load: a longer queue only makes clients wait longer.",
    )
    queue_bytes: Count = setting(67_108_864, "Bytes that may wait for the broker (64 MiB), whichever limit comes first. Bounds the memory of the process.")
    max_request_bytes: Count = setting(512_000, "Largest body of a request, inflated (500 KiB, the limit of the Segment spec).")
    max_event_bytes: Annotated[int, Field(ge=1, le=1_000_000)] = setting(
        32_768, "Largest event as sent (32 KiB, the limit of the Segment spec). A broker takes records of 1 MB."
    )
    max_batch_events: Count = setting(2_500, "Most events of one batch request (the limit of the Segment spec).")
    retry_after: Seconds = setting(1, "What Retry-After tells clients at 503. A queue empties, and a broker restarts, within seconds.")
    delivery_timeout: Seconds = setting(
        10,
        "How long an event may wait for the broker's acknowledgement before its request is answered with 503. Longer than the restart of a broker takes, shorter than clients wait.",
    )
    keep_alive: Seconds = setting(75, "How long an idle connection stays open. Longer than the 60 s of usual proxies, so that it is the proxy that closes.")

    @model_validator(mode="after")
    def _fits(self) -> "CollectorSettings":
        if self.max_event_bytes > self.max_request_bytes:
            raise ValueError(
                f"max_event_bytes is {self.max_event_bytes} and max_request_bytes {self.max_request_bytes}: a request must hold at least one event"
            )
        return self


class StreamSettings(Section):
    """The speed layer."""

    max_records: Count = setting(
        100_000, "Most records of an epoch. All of an epoch is in the driver at once: larger ones cost memory and latency, much smaller ones throughput."
    )
    trigger: Span = setting(
        0,
        "Shortest time between the starts of two epochs; 0: the next starts when the last has ended. Waiting makes fewer, larger epochs: fewer files, later answers.",
    )
    dedup_horizon: Seconds = setting(
        604_800,
        "How long the speed layer remembers message ids. Clients retry for hours, not weeks; what escapes is found by the next batch and named in its proof.",
    )
    compact_every_epochs: Count = setting(
        200,
        "Epochs between two rounds of housekeeping: compaction, and trimming of epochs that no kept batch version needs. Often enough that tables stay small, seldom enough that it costs little.",
    )
    compact_above_files: Count = setting(300, "Files of a table from which on housekeeping folds small ones together.")
    keep_files: Span = setting(
        86_400, "How long files stay that a compaction has replaced: whoever opened an older version of a log table can read it for so long. Rounded up to hours."
    )


class BatchSettings(Section):
    """The batch layer."""

    every: Span = setting(
        300,
        "Pause between scheduled builds in the stream's driver (--with-batch); 0: none but those asked for. Each build takes the epochs since the last; answers are the same before and after.",
    )
    refresh_every: Span = setting(
        60,
        "Pause between refreshes of serving/profiles in the stream's driver (--with-batch), which bring it to the last epoch; 0: it is written by builds only.",
    )
    keep_versions: Count = setting(
        5,
        "Batch versions that stay readable: to roll back to, and to compute receipts again. Each costs as much disk as the states, and speed increments since its cut.",
    )
    keep_files: Span = setting(3_600, "How long files of a dropped version stay: a reader that resolved its manifest just before may still be at it. Rounded up to hours.")
    in_driver_rows: Annotated[int, Field(ge=0)] = setting(
        1_000_000,
        "Log rows up to which a build works in the driver (and four times as many rows of states); above, on Spark's executors (docs/adr/0007). Starting tasks on executors costs more than the work itself on less.",
    )
    identity_in_driver_edges: Annotated[int, Field(ge=0)] = setting(
        20_000_000,
        "Edges up to which persons are found in the driver's Python process; above, on Spark's executors (docs/adr/0019). 6.5 million take 3.4 GiB there, so this default needs a driver with 11 GiB: lower it where it has less, raise it where it has more.",
    )
    partition_rows: Count = setting(250_000, "Rows of a partition when a build works on executors: one Arrow table in a Python worker at a time.")
    profiles_in_driver_rows: Annotated[int, Field(ge=0)] = setting(
        4_000_000, "Rows of states up to which serving/profiles is finished in the driver; above, on Spark's executors."
    )
    poll: Pause = setting(0.3, "How often the batch layer looks for requests of the API. One look reads the version of one small table.")


class ApiSettings(Section):
    """Answers over HTTP."""

    listen: Address = setting(
        "127.0.0.1:8081", "Where the API listens, host:port; port 0 takes any free one. Loopback, because it speaks plain HTTP: put a proxy with TLS before it."
    )
    poll: Pause = setting(
        0.02, "How often the store looks for a new epoch. One look costs some 20 µs; this bounds how much it adds to the freshness of answers."
    )
    open_timeout: Seconds = setting(120, "How long the first batch version may take to open before the process answers without it, with 503 at /readyz.")
    reopen_after: Pause = setting(30, "When a batch version that could not be opened is tried again.")
    batch_timeout: Seconds = setting(900, "How long POST /v1/batches waits for the batch layer's answer before 504; the build goes on.")


class SegmentSettings(Section):
    """Memberships of segments, kept up to date by jobs.follow_segments."""

    poll: Pause = setting(0.05, "How often it looks for a new epoch, and for timers that are due. One look costs some 50 µs; it adds to how late a change is told.")
    delivery_timeout: Seconds = setting(10, "How long Kafka may take to acknowledge changes before they are sent again. Nothing is lost meanwhile: they stay in the outbox.")


class HealthSettings(Section):
    """Data health, watched by jobs.watch_data_health."""

    window: Annotated[Span, Field(ge=60)] = setting(
        3_600,
        "Length of the windows in which sources are measured, by the time the broker received a record; whole seconds, and what a day is made of. An hour has enough records to compare and shows a silence soon.",
    )
    poll: Pause = setting(2, "How often it looks for new epochs and judges promises of freshness. One look costs some 50 µs; promises are of minutes.")

    @model_validator(mode="after")
    def _divides_the_day(self) -> "HealthSettings":
        if self.window % 1 or (86_400 % self.window and self.window % 86_400):
            raise ValueError(f"window is {span_text(self.window)}; allowed is what a day is made of, or whole days, such as 15m, 1h or 1d")
        return self


class SparkSettings(Section):
    """Spark of a job that starts it by itself. Under spark-submit its own options decide master and memory; conf/spark-defaults.conf holds everything else."""

    master: Annotated[str, Field(min_length=1)] = setting("local[2]", "Where Spark runs: local[threads] or the master of a cluster.")
    memory: Memory = setting(
        "2g", "Heap of the driver's JVM, such as 512m or 4g; raise it with stream.max_records. 2g holds epochs and builds of the default sizes."
    )
    shuffle_partitions: Annotated[int, Field(ge=1)] | None = setting(
        None, "spark.sql.shuffle.partitions; null: as conf/spark-defaults.conf or --conf say (2). On a cluster one to two for each core."
    )


class Settings(Section):
    """All of it."""

    root: Annotated[str, Field(min_length=1)] = setting(
        "data", "Folder that holds the tenants, their tables and keys; on a cluster one that every node sees under this path."
    )
    tenant: Tenant = setting("default", "The tenant: a folder under the root, a Kafka topic <tenant>.events, keys of its own. Letters, digits, _ and -, because it names a folder and a topic.")
    definitions: Path = setting(DEFAULT_DIRECTORY, "Directory with views.yml: the traits of the tenant. Stream, batch and API need the same one.")
    kafka: KafkaSettings = KafkaSettings()
    collector: CollectorSettings = CollectorSettings()
    stream: StreamSettings = StreamSettings()
    batch: BatchSettings = BatchSettings()
    api: ApiSettings = ApiSettings()
    segments: SegmentSettings = SegmentSettings()
    health: HealthSettings = HealthSettings()
    spark: SparkSettings = SparkSettings()


DEFAULTS = Settings()
