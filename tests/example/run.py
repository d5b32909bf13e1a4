#!/usr/bin/env python3
"""The example host under 200 requests at once, friendly and hostile, and used by a real browser.

usage: run.py [--screenshot FILE] BUILD

The browser is chromium, if it is installed.
"""
import html, http.client, os, re, shutil, subprocess, sys, tempfile
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

# name: script, status, output (None: any)
FRIENDLY = {
    "arithmetic": ("print(6 * 7)", "ok", "42\n"),
    "loop": ("local s = 0 for i = 1, 10000 do s = s + i end print(s)", "ok", "50005000\n"),
    "sort": ("local t = {} for i = 1, 100 do t[i] = i * 37 % 101 end table.sort(t) print(t[1], t[100])", "ok", "1\t100\n"),
    "text": ("print((('x'):rep(10):gsub('x', 'ab')))", "ok", "ab" * 10 + "\n"),
    "utf8": ("print('h\u00e9llo', utf8.len('h\u00e9llo'))", "ok", "h\u00e9llo\t5\n"),
    "coroutine": ("for v in coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end end) do io.write(v) end", "ok", "123"),
    "random": ("print(math.random(1000000))", "ok", None),
    "finalizer": ("setmetatable({}, {__gc = function() print 'end' end})", "ok", "end\n"),
    "error": ("print 'before' error('wrong')", "error", "before\n"),
    "syntax": ("x = = 2", "error", ""),
    "caught": ("print(pcall(error, 'e'))", "ok", "false\te\n"),
    "nothing": ("", "ok", ""),
}
HOSTILE = {
    "endless": ("while true do end", "stopped"),
    "in pcall": ("while true do pcall(function() while true do end end) end", "stopped"),
    "memory": ("local t = {} while true do t[#t + 1] = ('x'):rep(10000) .. #t end", "stopped"),
    "doubling": ("local s = 'x' while true do s = s .. s end", "stopped"),
    "coroutines": ("while true do coroutine.wrap(function() local x = 1 end)() end", "stopped"),
    "finalizers": ("while true do setmetatable({}, {__gc = function() while true do end end}) end", "stopped"),
    "much output": ("while true do print(('x'):rep(1000)) end", "stopped"),
    "deep": ("local function f() return 1 + f() end while true do pcall(f) end", "stopped"),
    "closing": ("local x <close> = setmetatable({}, {__close = function() while true do end end}) while true do end", "stopped"),
    "files": ("print(io.open('/etc/passwd'))", "error"),
    "exit": ("os.exit(0)", "error"),
    "programs": ("os.execute('true')", "error"),
    "bytecode": ("load('\\27Lua')()", "error"),
    "debug": ("debug.getregistry()", "error"),
    "require": ("require 'posix'", "error"),
    "yield": ("coroutine.yield()", "error"),
}
REQUESTS = 200


class Host:
    def __init__(self, program):
        self.process = subprocess.Popen([program, "--port", "0", "--heartbeats", "300", "--memory", "8"],
                                        stdout=subprocess.PIPE, text=True)
        self.url = self.process.stdout.readline().strip()
        self.port = int(re.search(r":(\d+)/", self.url)[1])

    def post(self, script):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        c.request("POST", "/run", script.encode(), {"Content-Type": "text/plain"})
        r = c.getresponse()
        text = r.read().decode("utf-8", "replace")
        c.close()
        return r.status, r.headers, text

    def resident(self):
        fields = Path(f"/proc/{self.process.pid}/statm").read_text().split()
        return int(fields[1]) * os.sysconf("SC_PAGESIZE")

    def stop(self):
        self.process.terminate()
        return self.process.wait(60)


class Verdicts:
    passed = failed = 0

    def check(self, holds, name, detail=""):
        if holds:
            self.passed += 1
        else:
            self.failed += 1
            print(f"FAILED: {name} {detail}"[:1000])


def requests_at_once(host, v):
    names = list(FRIENDLY) + list(HOSTILE)
    sent = [names[i % len(names)] for i in range(REQUESTS)]
    costs = defaultdict(set)
    with ThreadPoolExecutor(REQUESTS) as pool:
        answers = list(pool.map(lambda n: host.post((FRIENDLY.get(n) or HOSTILE[n])[0]), sent))
    for name, (code, headers, text) in zip(sent, answers):
        expected = FRIENDLY.get(name) or HOSTILE[name]
        right = code == 200 and headers["X-Status"] == expected[1]
        if name in FRIENDLY and expected[2] is not None:
            right = right and text == expected[2]
        v.check(right, name, f"{code} {headers['X-Status']} {headers['X-Message']} {text[:200]!r}")
        costs[name].add((headers["X-Ticks"], headers["X-Message"], text))
    for name, seen in costs.items():
        v.check(len(seen) == 1, f"{name}: the same each time", seen)


def memory_returns(host, v):
    """The server has no more memory after many requests than after a few: what each had is given back."""
    def some(n):
        with ThreadPoolExecutor(20) as pool:
            list(pool.map(lambda i: host.post((HOSTILE["memory"] if i % 2 else FRIENDLY["loop"])[0]), range(n)))
    some(40)
    before = host.resident()
    some(REQUESTS)
    after = host.resident()
    v.check(after < before + (8 << 20), "memory returns", f"{before} bytes before, {after} after")


def odd_requests(host, v):
    _, headers, _ = host.post("error('a\\27[31m\\r\\nX-Other: b', 0)")
    v.check(headers["X-Message"].replace(" ", "") == "a[31mX-Other:b" and headers["X-Other"] is None,
            "a message in a header", headers)
    _, headers, text = host.post("print(('x'):rep(100000))")
    v.check(headers["X-Output"] == "cut" and len(text) == 65536, "output that is cut", headers)
    code, _, _ = host.post("x" * (70 << 10))
    v.check(code == 413, "a script that is too long", code)
    for method, path, expected in [("GET", "/", 200), ("GET", "/nowhere", 404), ("GET", "/run", 405), ("PUT", "/run", 405)]:
        c = http.client.HTTPConnection("127.0.0.1", host.port, timeout=60)
        c.request(method, path)
        v.check(c.getresponse().status == expected, f"{method} {path}")
        c.close()


def wrong_usage(program, v):
    for arguments in (["--heartbeats", "0"], ["--memory", "0"], ["--threads", "-1"], ["--port", "65536"],
                      ["--memory", "1x"], ["--nothing"], ["8080"]):
        p = subprocess.run([program, *arguments], capture_output=True, timeout=60)
        v.check(p.returncode == 2 and p.stderr, f"host {' '.join(arguments)}", p)


def browse(chromium, *arguments):
    return subprocess.run([chromium, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", *arguments],
                          capture_output=True, text=True, timeout=120).stdout


def form(host, script, folder):
    """A page that posts the script as the host's own form does, when it is opened."""
    page = Path(folder) / "form.html"
    page.write_text(f"<meta charset=utf-8><form method=post action={host.url}run><textarea name=script>\n"
                    f"{html.escape(script)}</textarea></form><script>document.forms[0].submit()</script>")
    return page.as_uri()


def in_the_browser(host, v, chromium):
    with tempfile.TemporaryDirectory() as folder:
        v.check("<textarea" in browse(chromium, "--dump-dom", host.url), "the page opens in chromium")
        script = 'print("<script>alert(1)</script> & \\"quotes\\" \u00e9", 1 + 1)\n'
        seen = browse(chromium, "--virtual-time-budget=10000", "--dump-dom", form(host, script, folder))
        output = re.search(r'<pre id="output">(.*?)</pre>', seen, re.S)
        v.check(output and html.unescape(output[1]) == '<script>alert(1)</script> & "quotes" \u00e9\t2\n', "what the form posts", seen[-800:])
        area = re.search(r"<textarea[^>]*>(.*?)</textarea>", seen, re.S)
        v.check(area and html.unescape(area[1]).replace("\r\n", "\n") == script, "the script stays in the form", area and area[1])
        seen = browse(chromium, "--virtual-time-budget=10000", "--dump-dom", form(host, HOSTILE["endless"][0], folder))
        v.check("heartbeat limit reached" in seen, "the page tells the limit", seen[-800:])


def screenshot(host, chromium, file):
    script = ("local function primes(n)\n  local found = {}\n  for i = 2, n do\n    local prime = true\n"
              "    for _, p in ipairs(found) do\n      if p * p > i then break end\n      if i % p == 0 then prime = false break end\n"
              "    end\n    if prime then found[#found + 1] = i end\n  end\n  return found\nend\n\n"
              "local p = primes(2000)\nprint(#p .. ' primes, the last is ' .. p[#p])\nwhile true do end\n")
    with tempfile.TemporaryDirectory() as folder:
        browse(chromium, "--virtual-time-budget=10000", "--window-size=860,930", f"--screenshot={Path(file).resolve()}",
               form(host, script, folder))


def main():
    build = Path(sys.argv[-1])
    program = build / "host"
    if not program.exists():
        print("skipped: the host was not built (no libmicrohttpd)")
        print("0 passed, 0 failed")
        return False
    chromium = shutil.which("chromium")
    host, v = Host(program), Verdicts()
    if "--screenshot" in sys.argv:
        screenshot(host, chromium, sys.argv[sys.argv.index("--screenshot") + 1])
        return host.stop() != 0
    requests_at_once(host, v)
    odd_requests(host, v)
    wrong_usage(program, v)
    memory_returns(host, v)
    if chromium:
        in_the_browser(host, v, chromium)
    else:
        print("skipped: the browser (no chromium)")
    v.check(host.process.poll() is None, "the host survives")
    v.check(host.stop() == 0, "the host ends when it is told")
    print(f"{v.passed} passed, {v.failed} failed")
    return v.failed > 0


sys.exit(main())
