"""What an anomaly is, in a sentence for people. judging.py writes it into the row; freshness.py has its own."""

from millrace.spans import span_text
from millrace.times import MICROS, time_text
from serving.data_health.bands import Band
from serving.data_health.measures import DUPLICATES, EVENT_MIX, LATE, MEDIAN, NULLS, P95, RECEIVED, REJECTS, TYPE_MIX, VALUE_MIX, Measured

_SENTENCES = {
    (RECEIVED, False): "{who} sent {observed} records; {low} to {high} were expected",
    (DUPLICATES, False): "{observed} of what {who} sent was a repetition; at most {high} was expected",
    (REJECTS, False): "{observed} of what {who} sent was rejected; at most {high} was expected",
    (REJECTS, True): "{observed} of what {who} sent was rejected for {about}; at most {high} was expected",
    (LATE, False): "{observed} of the events of {who} came more than a day after they happened; at most {high} was expected",
    (MEDIAN, False): "half of the events of {who} came {observed} or more after they happened; {low} to {high} was expected",
    (P95, False): "one in twenty events of {who} came {observed} or more after it happened; {low} to {high} was expected",
    (NULLS, True): "{observed} of the events of {who} had nothing at {about}; at most {high} was expected",
    (EVENT_MIX, False): "the mix of events of {who} lies {observed} bits from that of before; at most {high} was expected",
    (TYPE_MIX, False): "the mix of types of calls of {who} lies {observed} bits from that of before; at most {high} was expected",
    (VALUE_MIX, True): "the values that {who} sent at {about} lie {observed} bits from those of before; at most {high} was expected",
}  # fmt: skip


def sentence_of(source: str, one: Measured, band: Band, window: tuple[int, int]) -> str:
    """``window``: start and end in seconds since 1970. Times are UTC."""
    figures = {name: figure_of(one.measure, value) for name, value in (("observed", one.observed or 0.0), ("low", band.low), ("high", band.high))}
    told = _SENTENCES[one.measure, one.about is not None].format(who=name_of(source), about=one.about, **figures)
    start, end = (time_text(at * MICROS)[:16].replace("T", " ") for at in window)
    return f"From {start} to {end} UTC {told}."


def name_of(source: str) -> str:
    """How people speak of a source; ``*`` is the tenant as a whole."""
    return "all sources together" if source == "*" else source


def figure_of(measure: str, value: float) -> str:
    """A value with its unit."""
    if measure == RECEIVED:
        return f"{round(value):,}"
    if measure in (MEDIAN, P95):
        sign = "-" if value < 0 else ""
        return f"{sign}{span_text(float(f'{abs(value):.3g}') if abs(value) < 60 else round(abs(value)))}"
    if measure in (EVENT_MIX, TYPE_MIX, VALUE_MIX):
        return f"{value:.3f}"
    return f"{100 * value:.3g} %"
