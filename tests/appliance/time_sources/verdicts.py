"""verdicts.py FILE...: recomputes the time attestation of every tick from its
own sources, by docs/format.md, steps 3.1 to 3.6, and nothing else of the
project. Prints what does not follow, and how many ticks did; ends with 1 where
one did not."""
import json
import sys
from datetime import datetime, timedelta

EPOCH = datetime(1970, 1, 1)
MOST = 2**63 - 1


def nanos(text):
    seconds, fraction = text[:-1].split(".")
    whole = datetime.strptime(seconds, "%Y-%m-%dT%H:%M:%S") - EPOCH
    return (whole.days * 86400 + whole.seconds) * 10**9 + int(fraction)


def text(ns):
    seconds, fraction = divmod(ns, 10**9)
    return (EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S") + f".{fraction:09}Z"


def bounded(value):
    return max(-MOST - 1, min(MOST, value))


def attest(clock, now):
    """The verdict, the agreed interval and the states that the sources give."""
    spans = {}
    for at, source in enumerate(clock["sources"]):
        if source["state"] in ("ok", "disagrees"):
            if "offset_ns" in source:
                offset, bound = int(source["offset_ns"]), int(source["bound_ns"])
                spans[at] = ("interval", bounded(offset - bound), bounded(offset + bound))
            else:
                low, high = (nanos(source[name]) - now for name in ("not_before", "not_after"))
                spans[at] = ("window", low, high)
    names = {at: clock["sources"][at]["src"] for at in spans}
    ntp = any(span[0] == "interval" and names[at][:4] == "ntp:" for at, span in spans.items())
    echo = {at for at in spans if ntp and names[at] == "kernel"}
    intervals = [s[1:] for at, s in spans.items() if s[0] == "interval" and at not in echo]
    agreed = None
    if intervals:
        edges = sorted([(low, 0) for low, _ in intervals] + [(high, 1) for _, high in intervals])
        open_now = most = 0
        for at, (place, upper) in enumerate(edges):
            open_now += -1 if upper else 1
            if not upper and open_now > most:
                most, best = open_now, (place, edges[at + 1][0])
        if most * 2 > len(intervals):
            agreed = best
    states = {}
    for at, (kind, low, high) in spans.items():
        if at in echo:
            meets = True
        elif agreed:
            meets = low <= agreed[1] and agreed[0] <= high
        elif kind == "window":
            meets = low <= 0 <= high
        else:
            meets = False
        states[at] = "ok" if meets else "disagrees"
    result = {}
    if agreed:
        width = agreed[1] - agreed[0]
        offset, bound = agreed[0] + width // 2, width - width // 2
        result = {"offset_ns": offset, "bound_ns": bound}
        ends = (max(0, bounded(now + end)) for end in (offset - bound, offset + bound))
        result["window"] = [text(end) for end in ends]
    good = sum(
        1 for at, state in states.items()
        if state == "ok" and spans[at][0] == "interval" and clock["sources"][at]["src"] != "kernel"
    )
    rule = clock["rule"]
    if "disagrees" in states.values():
        verdict = "disputed"
    elif not agreed:
        verdict = "unsynchronised"
    elif abs(offset) - bound > rule["alarm_ns"] or "step_ns" in clock:
        verdict = "anomalous"
    else:
        verdict = "agreed" if good >= rule["min_agreeing"] else "degraded"
    return verdict, result, states


def check(record):
    clock = record["data"]["clock"]
    verdict, result, states = attest(clock, nanos(record["time"]))
    recorded = {name: clock[name] for name in ("offset_ns", "bound_ns", "window") if name in clock}
    for name in ("offset_ns", "bound_ns"):
        if name in recorded:
            recorded[name] = int(recorded[name])
    said = {at: clock["sources"][at]["state"] for at in states}
    return (verdict, result, states) == (clock["verdict"], recorded, said)


def main():
    good = bad = 0
    for name in sys.argv[1:]:
        for line in open(name, "rb"):
            record = json.loads(line)
            if record["kind"] != "tick":
                continue
            if check(record):
                good += 1
            else:
                bad += 1
                print(f"{name}: record {record['seq']} does not follow")
    print(f"{good} follow, {bad} do not")
    sys.exit(1 if bad else 0)


main()
