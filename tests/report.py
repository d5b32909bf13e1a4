#!/usr/bin/env python3
"""report.py NAME: do NAME.json, .trace.json, .html and .txt, reports of one task, agree with themselves and with each
other? report.py --same A.json B.json: is what repeats the same? Prints what is wrong."""
import html.parser
import json
import math
import re
import sys

UNITS = {"ns": 1, "us": 1e3, "µs": 1e3, "ms": 1e6, "s": 1e9, "bytes": 1, "KiB": 1 << 10, "MiB": 1 << 20,
         "GiB": 1 << 30, "k": 1e3, "M": 1e6, "G": 1e9, "": 1}
VOID = {"meta", "line", "rect", "polyline", "polygon"}  # of these, the SVG's close themselves


wrong = 0


def expect(so, *what):
    global wrong
    if not so:
        print("wrong:", *what)
        wrong += 1


def shows(text, value):
    """Is the text the value, rounded to what it shows?"""
    number, unit = re.fullmatch(r"(\d{1,3}(?:,\d{3})*(?:\.\d)?) ?(\D*)", text.strip()).groups()
    scale = UNITS[unit]
    digit = 0 if scale == 1 else 0.0500001 * scale
    return abs(float(number.replace(",", "")) * scale - value) <= digit


# ---- JSON


def check_events(events, interval, least, key, period, count):
    expect(len(events) <= count and (len(events) == count or interval > 0), key, "rows", len(events), count)
    expect(all(e[key] >= least for e in events), key, "below the threshold")
    check_places([e["tick"] // period for e in events], interval, key)


def check_spans(r, m):
    spans, period = r["scopes"], r["ticks_to_a_beat"]
    ended = [s for s in spans if not s["goes_on"]]
    expect(len(ended) <= r["scopes_ended"] and (len(ended) == r["scopes_ended"] or r["beats_to_a_scope"] > 0), "scopes")
    expect(all(not a["goes_on"] or b["goes_on"] for a, b in zip(spans, spans[1:])), "what goes on comes last")
    check_places([s["end"] // period for s in ended], r["beats_to_a_scope"], "scopes")
    for s in spans:
        expect(0 <= s["begin"] <= s["end"] <= r["ticks"] and (s["end"] == r["ticks"] or not s["goes_on"]), "span", s)
        expect((s["level"] > 0) == (s["kind"] == "scope") and s["number"] > 0, "kind", s)
        expect(s["kind"] == "child" or s["used_ticks"] == s["end"] - s["begin"], "used", s)
        expect((s["used_ticks"] is None) == (s["kind"] == "child" and s["goes_on"]), "used", s)
        # The charge that reaches the limit may go beyond it, and what follows is charged, too.
        if s["ended_by"] == "heartbeat limit" and s["limit_ticks"] is not None:
            expect(s["used_ticks"] >= s["limit_ticks"], "ended early", s)
        elif s["limit_ticks"] is not None and s["ended_by"] == "no limit":
            expect(s["kind"] == "scope" or s["goes_on"] or s["used_ticks"] < s["limit_ticks"], "not ended", s)
    scopes = [s for s in spans if s["kind"] == "scope"]
    for i, s in enumerate(scopes):  # in the order of their ends: what overlaps is within
        for t in scopes[:i]:
            expect(t["end"] <= s["begin"] or (s["begin"] <= t["begin"] and t["level"] > s["level"]), "nest", s, t)
    expect(len(m["scopes"]) == len(spans), "measured scopes")
    for t in m["scopes"]:
        expect(t["at_ns"] + t["ns"] <= m["elapsed_ns"], "times of scopes")


def check_places(beats, interval, key):
    expect(beats == sorted(beats), key, "order")
    places = [b // interval for b in beats] if interval else []
    expect(len(set(places)) == len(places), key, "intervals")


def check_json(data):
    r, m = data["repeats"], data["measured"]
    period, timed = r["ticks_to_a_beat"], m["times"]
    expect(r["beats"] == r["ticks"] // period, "beats")
    for c, t in zip(r["causes"], m["causes"], strict=True):
        expect(c["cause"] == t["cause"], "order of causes")
        expect(sum(c["by_log2_units"]) == c["pauses"], c["cause"], "by units")
        expect(len(c["by_log2_units"]) == (c["most_units"].bit_length() + 1 if c["pauses"] else 0), c["cause"], "most units")
        expect(c["most_units"] <= c["units"] <= c["most_units"] * c["pauses"], c["cause"], "units")
        expect(sum(t["by_log2_ns"]) == (c["pauses"] if timed else 0), c["cause"], "by ns")
        expect(t["most_ns"] <= t["total_ns"] <= m["elapsed_ns"] or not timed, c["cause"], "times")
    samples = r["samples"]
    places = [s["tick"] // period // r["beats_to_a_sample"] for s in samples]
    expect(places[0] == 0 and places == sorted(set(places)), "places of samples")
    last = samples[-1]
    expect(all(last[k] == r[k] for k in ("bytes", "waiting", "owed_units", "objects")) and last["tick"] == r["ticks"], "end")
    expect(all(s["bytes_most"] >= s["bytes"] and s["waiting_most"] >= s["waiting"] for s in samples), "most")
    expect(max(s["bytes_most"] for s in samples) <= r["bytes_peak"], "peak")
    expect(max(s["waiting_most"] for s in samples) == r["waiting_peak"], "most that waited")
    expect(len(m["samples"]) == len(samples), "measured samples")
    expect(max(s["resident_bytes"] for s in m["samples"]) == m["resident_peak"] > 100000, "resident")
    times = [s["at_ns"] for s in m["samples"]]
    expect(times == sorted(times) and (not timed or times[-1] == m["elapsed_ns"] > 0), "times of samples")
    check_spans(r, m)
    check_events(r["heavy"], r["beats_to_a_heavy_pause"], r["heavy_units"], "units", period, r["heavy_pauses"])
    check_events(m["long"], m["beats_to_a_long_pause"], m["long_ns"], "ns", period, m["long_pauses"])
    lengths = [e["ns"] for e in m["longest"]]
    expect(lengths == sorted(lengths, reverse=True) and len(lengths) == min(16, m["long_pauses"]), "longest")
    if lengths:
        expect(lengths[0] == max(c["most_ns"] for c in m["causes"]), "the longest")
    for c in r["size_classes"]:
        size = c["block_bytes"]
        expect(c["bytes"] == c["blocks"] * size if size else c["bytes"] >= c["blocks"] * 65536, "bytes of", size)
        expect(c["blocks"] <= c["blocks_ever"] and (c["pages"] > 0 or c["blocks"] == 0), "blocks of", size)
    expect(sum(c["bytes"] for c in r["size_classes"]) >= r["bytes"] * 0.99, "size classes hold what is held")


# ---- Trace events


# What the Trace Event Format wants of the events that are used here, and no more: field and kind of value.
COMMON = {"ph": str, "name": str, "pid": int}
FIELDS = {
    "M": {"tid": int, "args": dict},
    "X": {"cat": str, "tid": int, "ts": float, "dur": float, "args": dict},
    "i": {"cat": str, "tid": int, "ts": float, "s": str, "args": dict},
    "b": {"cat": str, "tid": int, "ts": float, "id": str, "args": dict},
    "e": {"cat": str, "tid": int, "ts": float, "id": str},
    "C": {"ts": float, "args": dict},
}


def cut(us):
    """Nanoseconds as Perfetto computes them: what overlaps then is dropped there."""
    return int(us * 1000.0)


def check_form(trace):
    expect(set(trace) == {"displayTimeUnit", "otherData", "traceEvents"} and trace["displayTimeUnit"] in ("ms", "ns"), "trace")
    for e in trace["traceEvents"]:
        fields = COMMON | FIELDS[e["ph"]]
        expect(set(e) == set(fields), "fields of an event", e)
        expect(all(isinstance(e[k], (int, float) if kind is float else kind) for k, kind in fields.items()), "kinds", e)
        expect(e.get("ts", 0) >= 0 and e.get("dur", 0) >= 0 and e.get("s", "t") in "gpt", "values", e)
        if e["ph"] == "M":
            expect(e["name"] in ("process_name", "thread_name") and isinstance(e["args"]["name"], str), e)
        if e["ph"] == "C":
            expect(all(isinstance(v, int) for v in e["args"].values()), "a counter counts", e)
    going = {}  # of one moment, what comes first in the file is first
    for e in sorted((e for e in trace["traceEvents"] if e["ph"] in "be"), key=lambda e: e["ts"]):
        expect((e["ph"] == "b") == (going.get(e["id"]) is None), "begins once, before it ends", e)
        going[e["id"]] = e["ph"]
    expect(set(going.values()) <= {"e"}, "not ended")
    slices, order = {}, lambda e: (e["ts"], -e["dur"])
    for e in sorted((e for e in trace["traceEvents"] if e["ph"] == "X"), key=order):
        around = slices.setdefault(e["tid"], [])  # those of a thread nest
        begin, end = cut(e["ts"]), cut(e["ts"]) + cut(e["dur"])
        while around and around[-1] <= begin:
            around.pop()
        expect(not around or end <= around[-1], "slices overlap", e)
        around.append(end)


def check_trace(trace, data):
    r, m = data["repeats"], data["measured"]
    timed = m["times"]
    events = trace["traceEvents"]
    check_form(trace)
    check_trace_of_spans(events, data)
    seen = [e for e in events if e.get("cat") == "pause" and e["ph"] == ("X" if timed else "i")]
    want = m["long"] if timed else r["heavy"]
    expect(len(seen) == len(want), "number of pauses")
    for e, p in zip(seen, want):
        expect(e["args"] == {k: p[k] for k in ("cause", "units", "tick")} and e["name"] == p["cause"], "pause", e, p)
        if timed:
            expect([cut(e["ts"]), cut(e["dur"]), e["tid"]] == [p["at_ns"], p["ns"], p["thread"]], e, p)
        else:
            expect(e["ts"] == p["tick"] and e["s"] == "t", e)
    ends = {}
    for e in seen if timed else []:
        expect(cut(e["ts"]) >= ends.get(e["tid"], 0), "pauses overlap", e)
        ends[e["tid"]] = cut(e["ts"]) + cut(e["dur"])
    for name, key in (("memory", "bytes"), ("waiting", "waiting"), ("owed", "owed_units")):
        curve = [(cut(e["ts"]), *e["args"].values()) for e in events if e["ph"] == "C" and e["name"] == name]
        at = [s["at_ns"] for s in m["samples"]] if timed else [s["tick"] * 1000 for s in r["samples"]]
        expect(curve == list(zip(at, (s[key] for s in r["samples"]))), "curve of", name)


def check_trace_of_spans(events, data):
    r, m = data["repeats"], data["measured"]
    times = [(t["at_ns"], t["at_ns"] + t["ns"]) for t in m["scopes"]] if m["times"] else \
            [(s["begin"] * 1000, s["end"] * 1000) for s in r["scopes"]]
    seen = [e for e in events if e.get("cat") in ("scope", "child") and e["ph"] != "e"]
    ends = [e for e in events if e["ph"] == "e"]
    expect(len(seen) == len(times), "number of spans")
    for e, s, (begin, end) in zip(seen, reversed(r["scopes"]), reversed(times)):
        expect(e["args"] == s and e["name"] == s["name"] and e["cat"] == s["kind"], "span", e, s)
        if s["kind"] == "scope":
            over = cut(e["ts"]) + cut(e["dur"])
        else:
            over = [cut(x["ts"]) for x in ends if (x["id"], x["cat"], x["name"]) == (e["id"], "child", e["name"])]
            expect(len(over) == 1, "ends of a child", e)
            over = over[0]
        expect([cut(e["ts"]), over] == [begin, end], "times of a span", e)


# ---- The page


class Page(html.parser.HTMLParser):
    """What there is on it; and is each element closed in its turn?"""

    def __init__(self, text):
        super().__init__()
        self.open, self.data, self.rows, self.points, self.bars, self.ids = [], [], [], [], [], {}
        self.text, self.referred, self.numbers = "", [], []
        self.feed(text)
        self.close()
        expect(not self.open, "not closed:", self.open)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        expect(not {"href", "src", "onload", "onclick", "xlink:href"} & set(attrs) and tag not in ("script", "link", "img"),
               "the page needs something else:", tag)
        if "id" in attrs:
            expect(attrs["id"] not in self.ids, "twice:", attrs["id"])
            self.ids[attrs["id"]] = tag
        self.referred += attrs.get("aria-labelledby", "").split()
        if tag == "svg":
            expect(attrs.get("role") == "img" and "aria-labelledby" in attrs and "viewbox" in attrs, "picture")
            self.box = [float(x) for x in attrs["viewbox"].split()]
        self.check_place(attrs)
        if tag in ("polyline", "polygon"):
            self.points.append([tuple(float(x) for x in p.split(",")) for p in attrs["points"].split()])
            expect(all(0 <= x <= self.box[2] and 0 <= y <= self.box[3] for x, y in self.points[-1]), "points outside")
        if tag == "tr":
            self.rows.append([])
        if tag == "td":
            self.rows[-1].append("")
        if tag == "data":
            self.data.append([attrs["data-name"], int(attrs["value"]), ""])
        if tag != "meta":
            self.open.append(tag)

    def check_place(self, attrs):
        for name, limit in (("x", 2), ("x1", 2), ("x2", 2), ("y", 3), ("y1", 3), ("y2", 3)):
            if name in attrs:
                expect(0 <= float(attrs[name]) <= self.box[limit], "outside:", attrs)
        if "width" in attrs and "x" in attrs:
            expect(float(attrs["x"]) + float(attrs["width"]) <= self.box[2] + 0.1, "too wide:", attrs)
            expect(float(attrs["y"]) + float(attrs["height"]) <= self.box[3] + 0.1, "too high:", attrs)

    def handle_endtag(self, tag):
        expect(self.open and self.open[-1] == tag, "closes", tag, "within", self.open[-3:])
        if self.open:
            self.open.pop()

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_data(self, text):
        if self.open and self.open[-1] == "data":
            self.data[-1][2] += text
        if "td" in self.open:
            self.rows[-1][-1] += text
        if self.open[-2:] == ["rect", "title"]:
            self.bars.append(text)
        if "p" in self.open:
            self.text += text


def named(data, name):
    for key in name.split("."):
        data = data[int(key) if key.isdigit() else key]
    return data


def check_curve(points, ticks, values):
    """The points are those values, but for a scale and its rounding."""
    expect(len(points) == len(ticks), "points", len(points), len(ticks))
    left, right, low, high = 78, 720 - 14, 212, 12
    for (x, y), tick, value in zip(points, ticks, values):
        expect(abs(x - (left + tick / max(ticks[-1], 1) * (right - left))) < 0.06, "x", x, tick)
    tallest = max(values)
    if tallest > 0:
        top = points[values.index(tallest)][1]
        expect(high <= top < low, "the highest", top)
        for (x, y), value in zip(points, values):
            expect(abs((low - y) - (low - top) * value / tallest) < 0.11, "y", y, value)


def check_page(text, data):
    r, m = data["repeats"], data["measured"]
    page = Page(text)
    expect(set(page.referred) <= set(page.ids) and list(page.ids.values()).count("desc") == (5 if r["scopes"] else 4), "titles of pictures")
    for name, value, shown in page.data:
        expect(named(data, name) == value and shows(shown, value), name, value, shown, named(data, name))
    names = {name for name, _, _ in page.data}
    expect({"repeats.ticks", "repeats.bytes_peak", "repeats.bytes", "repeats.causes.4.units"} <= names, "names")
    for key in ("limit_beats", "limit_bytes"):
        expect((f"repeats.{key}" in names) == (r[key] is not None), key)
    expect((r["ended_by"] in page.text) == (r["ended_by"] != "no limit"), "its end")
    keys = ("tick", "bytes", "bytes_most", "waiting", "waiting_most")
    cells = [[int(c.replace(",", "")) for c in row] for row in page.rows[-len(r["samples"]):]]
    expect(cells == [[s[k] for k in keys] for s in r["samples"]], "the table of samples")
    ticks = [s["tick"] for s in r["samples"]]
    most_bytes, now_bytes, most_waiting, now_waiting = page.points
    check_curve(now_bytes, ticks, [s["bytes"] for s in r["samples"]])
    check_curve(now_waiting, ticks, [s["waiting"] for s in r["samples"]])
    check_curve(most_bytes[1:-1], ticks, [s["bytes_most"] for s in r["samples"]])
    check_curve(most_waiting[1:-1], ticks, [s["waiting_most"] for s in r["samples"]])
    check_bars(page.bars, data)
    if not m["times"]:
        expect(not re.search(r"\d (ns|µs|ms)\b", text), "times that were not measured")


def check_bars(bars, data):
    r, m = data["repeats"], data["measured"]
    counts = [c["by_log2_ns"] for c in m["causes"]] if m["times"] else [c["by_log2_units"] for c in r["causes"]]
    want = [n for c in counts for n in c if n > 0]
    seen = [int(b.split()[0].replace(",", "")) for b in bars if " pauses of " in b]
    expect(seen == want, "bars of pauses", seen, want)
    used = [c for c in r["size_classes"] if c["blocks"] > 0]
    spans = [b for b in bars if " ticks used" in b or ", not joined" in b]
    expect(len(spans) == len(r["scopes"]), "bars of scopes")
    for b, s in zip(spans, reversed(r["scopes"])):
        name, kind, number, begin, end, ticks = re.fullmatch(
            r"(.*) \((scope|child) (\d+)\): from tick ([\d,]+) to ([\d,]+), (?:([\d,]+) ticks used|not joined).*", b).groups()
        expect([name, kind] + [x and int(x.replace(",", "")) for x in (number, begin, end, ticks)] ==
               [s[k] for k in ("name", "kind", "number", "begin", "end", "used_ticks")], "bar of a scope", b, s)
        expect((s["ended_by"] in b) == (s["ended_by"] != "no limit"), "its end", b, s)
    seen = [int(b.split()[0].replace(",", "")) for b in bars if " pauses of " not in b and b not in spans]
    expect(seen == [c[k] for c in used for k in ("blocks", "bytes")], "bars of classes", seen)


# ---- Text


def check_text(text, data):
    r, m = data["repeats"], data["measured"]
    lines = text.splitlines()
    expect(all(len(line) <= 80 for line in lines), "wide lines")
    for line, c, t in zip(lines[1:6], r["causes"], m["causes"]):
        cause, pauses, rest = line.split(None, 2)
        most_units, units = (int(x.replace(",", "")) for x in line.split()[-2:])
        expect((cause, int(pauses.replace(",", "")), most_units, units) ==
               (c["cause"], c["pauses"], c["most_units"], c["units"]), line, c)
        lengths = re.findall(r"\d[\d.]* [num]?s", rest)
        expect(lengths == [] if not m["times"] else shows(lengths[0], t["most_ns"]) and shows(lengths[1], t["total_ns"]), line, t)
    counts = [c["by_log2_ns"] for c in m["causes"]] if m["times"] else [c["by_log2_units"] for c in r["causes"]]
    places = range(max(map(len, counts)))
    sums = [sum(c[i] for c in counts if i < len(c)) for i in places]
    first = next(i for i in places if sums[i] > 0)
    bars = [line for line in lines if " .. " in line or " or more " in line]
    most = max(sums)
    for line, i in zip(bars, places[first:], strict=True):
        words = re.fullmatch(r".{21} +([\d,]+)(?:  (\w+))?", line).groups("")
        expect(int(words[0].replace(",", "")) == sums[i], "line", line, sums[i])
        letters = [words[1].count(k) > 0 for k in "drqbf"]
        expect(letters == [i < len(c) and c[i] > 0 for c in counts], "letters", line)
        expect(abs(len(words[1]) - 38 * math.log2(sums[i] + 1) / math.log2(most + 1)) <= 5, "length", line)
    expect(most == 0 or len(bars) > 0, "no bars")


def main(arguments):
    if arguments[0] == "--same":
        a, b = (json.load(open(path)) for path in arguments[1:])
        for key in a["repeats"].keys() | b["repeats"].keys():
            expect(a["repeats"].get(key) == b["repeats"].get(key), key, "differs")
        return
    name = arguments[0]
    data = json.load(open(name + ".json"))
    check_json(data)
    check_trace(json.load(open(name + ".trace.json")), data)
    check_page(open(name + ".html", encoding="utf-8").read(), data)
    check_text(open(name + ".txt").read(), data)


main(sys.argv[1:])
sys.exit(wrong > 0)
