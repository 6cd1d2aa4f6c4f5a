"""The demo from its first event to the last comparison. Enters: a root and how many weeks; leaves: the report. jobs/demo.py calls it.

Most weeks are sent at once; a batch is published and must change no answer; the last weeks arrive while answers are watched; another batch.
Around each publish every household's answer is recomputed from the package's files and compared.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb

from millrace.demo.api import Api, Status
from millrace.demo.comparison import Comparison, compare, compare_rows, moved_answers, together
from millrace.demo.events import count_events, events_of_week, last_moment
from millrace.demo.freshness import Freshness, portions, shows, wait_until_shown
from millrace.demo.narration import Narration
from millrace.demo.oracle import all_households, expected_profiles
from millrace.demo.other_views import expected_rows
from millrace.demo.report import Report
from millrace.demo.root import Progress, save_progress
from millrace.demo.sender import Sender
from millrace.demo.system import LocalSystem
from millrace.errors import MillraceError

CATCH_UP_S = 900.0
PROBES_A_WEEK = 8


@dataclass(frozen=True)
class Plan:
    """Which weeks are sent at once and which arrive while answers are watched."""

    bulk: range
    live: range


def plan_weeks(sent: int, wanted: int) -> Plan:
    """Weeks after ``sent`` up to ``wanted``: the last one is live, the last two when there are more than four."""
    live = min(max(wanted - sent, 0), 2 if wanted - sent > 4 else 1)
    return Plan(range(sent + 1, wanted - live + 1), range(wanted - live + 1, wanted + 1))


class Story:
    """One telling over one running system. The steps are called in order by ``tell``; each leaves its findings in ``report``."""

    def __init__(self, *, source: duckdb.DuckDBPyConnection, system: LocalSystem, root: Path, progress: Progress, narration: Narration, report: Report) -> None:
        addresses = system.addresses
        self.report = report
        self._source, self._system, self._root, self._progress, self._narration = source, system, root, progress, narration
        self._api = Api(addresses.api, read_key=addresses.read_key, admin_key=addresses.admin_key)
        self._households = all_households(source)

    def tell(self) -> None:
        plan = plan_weeks(self._progress.weeks_sent, self.report.weeks)
        try:
            if plan.bulk:
                self._send(plan.bulk)
            if plan.bulk and plan.live:
                self._catch_up()
                self._publish_between_comparisons("first")
            if plan.live:
                self._send_live(plan.live)
            self._catch_up()
            self._publish_between_comparisons("")
            self._show()
        finally:
            self._api.close()

    def _send(self, weeks: range) -> None:
        total = count_events(self._source, weeks=weeks[-1]) - count_events(self._source, weeks=weeks[0] - 1)
        with self._narration.stage(f"send {_weeks(weeks)} to the collector", total=total) as (stage, bar), self._sender(bar.advance) as sender:
            for week in weeks:
                sent = sender.send(events_of_week(self._source, week))
                stage.count += sent.events
                self.report.sent += sent
                self._is_sent(week)
            stage.note = "events acknowledged"

    def _send_live(self, weeks: range) -> None:
        total = count_events(self._source, weeks=weeks[-1]) - count_events(self._source, weeks=weeks[0] - 1)
        with self._narration.stage(f"watch answers while {_weeks(weeks)} come in", total=total) as (stage, bar), self._sender(bar.advance) as sender:
            for week in weeks:
                for portion in portions(events_of_week(self._source, week), PROBES_A_WEEK):
                    self._send_and_watch(sender, portion)
                    stage.count += len(portion)
                self._is_sent(week)
            found = self.report.freshness.as_dict()
            stage.note = f"events acknowledged; order acknowledged → in the answer: {found.get('median_s')} s median, {found.get('max_s')} s at most of {found['probes']}"

    def _send_and_watch(self, sender: Sender, portion: Sequence[Any]) -> None:
        """The portion's last event goes last and alone. One that an earlier run has sent already is no probe."""
        *most, order = portion
        self.report.sent += sender.send(most)
        is_probe = order.is_order and not shows(self._api.profile(order.household), order)
        self.report.sent += sender.send([order])
        if is_probe:
            self.report.freshness += Freshness((wait_until_shown(self._api, order, acknowledged_at=time.monotonic()),))

    def _catch_up(self) -> None:
        """Waits until the head covers all that was acknowledged: the log then holds each event of the weeks once."""
        wanted = count_events(self._source, weeks=self._progress.weeks_sent)
        with self._narration.stage("the speed layer reaches the last event", total=wanted) as (stage, bar):
            deadline = time.monotonic() + CATCH_UP_S
            status = self._covered()
            while status.accepted + status.rejected < wanted:
                if time.monotonic() > deadline:
                    raise MillraceError(
                        f"after {CATCH_UP_S:g} s the log holds {status.accepted + status.rejected:,} of {wanted:,} events; the end of the log of the local system is in {self._system.log}"
                    )
                bar.move_to(status.accepted + status.rejected)
                time.sleep(0.2)
                status = self._covered()
            stage.count = status.accepted
            stage.note = f"events in the log ({status.rejected} rejected, {status.duplicate} sent twice)"

    def _covered(self) -> Status:
        self._system.check()
        return self._api.status()

    def _publish_between_comparisons(self, name: str) -> None:
        before = self._compare(f"{name}_before_publish".lstrip("_"), "before the publish")
        with self._narration.stage("build and publish a batch") as (stage, _):
            manifest = self._api.publish()
            stage.note = f"manifest {manifest.get('manifest_id', manifest.get('id'))}"
            self.report.manifests.append(manifest)
        after = self._compare(f"{name}_after_publish".lstrip("_"), "after the publish")
        self._compare_rows(f"{name}_other_views".lstrip("_"))
        moved = moved_answers(before, after)
        self.report.moved += moved
        self._narration.say(f"    the publish changed {moved} of {len(before):,} answers")

    def _compare(self, moment: str, title: str) -> list[dict[str, Any]]:
        weeks = self._progress.weeks_sent
        as_of = last_moment(self._source, weeks=weeks)
        with self._narration.stage(f"compare all households {title}", total=len(self._households)) as (stage, bar):
            answers = self._api.lookup(self._households, as_of=as_of)
            bar.advance(len(answers))
            comparison = compare(self._households, answers, expected_profiles(self._source, weeks=weeks, as_of=as_of))
            self.report.comparisons[moment] = comparison
            stage.count = comparison.values
            stage.note = f"values of {comparison.rows:,} households: {_verdict(comparison)}; from {_layers(comparison)}"
        self._say_differences(comparison, "household ")
        return answers

    def _compare_rows(self, moment: str) -> None:
        """Stores, campaigns, days, departments: every row of the views that are not of persons."""
        weeks = self._progress.weeks_sent
        as_of = last_moment(self._source, weeks=weeks)
        expected = expected_rows(self._source, weeks=weeks, as_of=as_of)
        with self._narration.stage("compare all stores, campaigns, days and departments", total=len(expected)) as (stage, bar):
            found = []
            for view, rows in expected.items():
                found.append(compare_rows(view, self._api.rows(view, as_of=as_of), rows))
                bar.advance(1)
            self.report.comparisons[moment] = comparison = together(found)
            stage.count = comparison.values
            stage.note = f"values of {comparison.rows:,} rows: {_verdict(comparison)}; from {_layers(comparison)}"
        self._say_differences(comparison)

    def _say_differences(self, comparison: Comparison, kind: str = "") -> None:
        for difference in comparison.differences[:5]:
            self._narration.say(f"    {kind}{difference.household} {difference.trait or 'whole'}: expected {difference.expected}, answered {difference.answered}")

    def _sender(self, on_sent: Any) -> Sender:
        addresses = self._system.addresses
        return Sender(addresses.collector, addresses.write_key, on_sent=on_sent)

    def _is_sent(self, week: int) -> None:
        self._progress = replace(self._progress, weeks_sent=week)
        save_progress(self._root, self._progress)

    def _show(self) -> None:
        """The two households that spent most among those with known demographics, and the receipt of the first one's answer."""
        weeks = self._progress.weeks_sent
        as_of = last_moment(self._source, weeks=weeks)
        known = expected_profiles(self._source, weeks=weeks, as_of=as_of).values()
        buyers = sorted((one for one in known if one.age), key=lambda one: (-one.revenue_total, one.household))
        with self._narration.stage("compute an answer again from its receipt") as (stage, _):
            self.report.is_replayed = self._api.is_replayed(buyers[0].household, as_of=as_of)
            stage.note = "the same bytes" if self.report.is_replayed else "OTHER BYTES"
        for buyer in buyers[:2]:
            answer = self._api.profile(buyer.household, as_of=as_of) or {}
            values = {name: trait.get("value") for name, trait in answer.get("traits", {}).items() if trait.get("value") is not None}
            self._narration.say(f"\nprofile user_id:{buyer.household}  " + "  ".join(f"{name}={value}" for name, value in values.items()))
            self.report.receipt = self.report.receipt or answer.get("receipt", {})
        self._narration.say("\nreceipt  " + "  ".join(f"{name}={value}" for name, value in self.report.receipt.items()))


def _weeks(weeks: range) -> str:
    return f"week {weeks[0]}" if len(weeks) == 1 else f"weeks {weeks[0]} to {weeks[-1]}"


def _verdict(comparison: Comparison) -> str:
    return "all equal" if comparison.is_equal else f"{len(comparison.differences)} DIFFER"


def _layers(comparison: Comparison) -> str:
    return ", ".join(f"{layer} {count:,}" for layer, count in sorted(comparison.layers.items()))
