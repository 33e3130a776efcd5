# SPDX-License-Identifier: Apache-2.0
"""The page at /-/ in a browser: page.py URL DIRECTORY READ STOP [SHOWS...]

Opens it as a phone's and a desk's, light and dark: what it shows is what
/-/status says, nothing is asked of anybody else, nothing is complained of and
nothing hangs out at the side. Then runs the shell command READ and sees the
figures follow, and STOP, after which it says that no answer comes. SHOWS are
texts that have to be on it; "!TEXT" must not. Pictures go to DIRECTORY.
"""
import json
import subprocess
import sys
import urllib.request

from browser import Browser

url, directory, read, stop = sys.argv[1:5]
shows = sys.argv[5:]
origin = url[:url.index("/-/")]
LIVE = 'document.getElementById("age").textContent === "live"'
# What it shows of a number, the number itself, and what is said of it.
FIGURES = """[...document.querySelectorAll("[data-path]")].map(
    e => [e.dataset.path, e.dataset.as, Number(e.dataset.n), e.textContent])"""
# What reaches out of the window, by name.
WIDE = """[...document.querySelectorAll("body *")].filter(e =>
    e.getBoundingClientRect().right > innerWidth + 1 &&
    !e.classList.contains("unseen")).map(e => e.tagName + "#" + e.id)"""
# Text whose contrast with what is behind it is below WCAG's AA, 4.5 to 1.
FAINT = """(() => {
    const rgb = (s) => s.match(/[0-9.]+/g).map(Number);
    const light = (c) => c.slice(0, 3).map((v) => v / 255).map((v) =>
        v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const faint = [];
    const walk = document.createTreeWalker(document.body,
                                           NodeFilter.SHOW_TEXT);
    let seen = 0;
    while (walk.nextNode()) {
        const e = walk.currentNode.parentElement;
        if (walk.currentNode.textContent.trim() === "" ||
            ["SCRIPT", "NOSCRIPT"].includes(e.tagName))
            continue;
        const style = getComputedStyle(e);
        const ink = rgb(e.tagName === "text" ? style.fill : style.color);
        let back = e;
        while (rgb(getComputedStyle(back).backgroundColor)[3] === 0)
            back = back.parentElement;
        const a = light(ink);
        const b = light(rgb(getComputedStyle(back).backgroundColor));
        const c = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        seen++;
        if (c < 4.5)
            faint.push(c.toFixed(1) + " " + e.textContent);
    }
    return seen > 50 ? faint : ["little text: " + seen];
})()"""


def status():
    with urllib.request.urlopen(origin + "/-/status", timeout=20) as f:
        j = json.load(f)
    return j["worker"] if "worker" in j else j["mounts"][0]


def words(how, n):
    """As page.js has them."""
    if how == "count":
        return f"{n:,}"
    if how == "usd":
        if 0 < n < 0.0001:
            return "< $0.0001"
        return "$%.*f" % (4 if 0 < n < 0.1 else 2, n)
    units = ["B", "KiB", "MiB", "GiB", "TiB"]
    i = 0
    while n >= 1024:
        n /= 1024
        i += 1
    return ("%d" % round(n) if i == 0 or n >= 99.95 else "%.1f" % n) + \
        " " + units[i]


def differences(browser):
    """What is shown that status does not say: empty when all is right."""
    m = status()
    wrong = []
    figures = browser.eval(FIGURES)
    for path, how, n, text in figures:
        want = m
        for name in path.split("."):
            want = want[name]
        if n != want or text.replace("\u00a0", " ") != words(how, want):
            wrong.append((path, n, text, want))
    text = browser.eval("document.getElementById('ring').innerText")
    for w in m["ring"]["workers"]:
        row = [w["name"], w["state"], words("bytes", w["hit_bytes"])]
        for cell in row:
            if cell not in text.replace("\u00a0", " "):
                wrong.append(("ring", cell, text))
    if len(figures) < 20:
        wrong.append("few figures: %d" % len(figures))
    return wrong


def settle(browser):
    """Wait until it shows what status says, for some tries."""
    for _ in range(50):
        wrong = differences(browser)
        if not wrong:
            return
        browser.eval("new Promise((done) => setTimeout(done, 200))")
    raise AssertionError("shown and status differ: %s" % wrong)


def check(name, got, want):
    assert got == want, "%s: %s, not %s" % (name, got, want)


with urllib.request.urlopen(url, timeout=20) as f:
    policy = f.headers["Content-Security-Policy"]
assert policy.startswith("default-src 'none'; script-src 'sha256-"), policy

browser = Browser(directory + "/profile")
try:
    for width, height in ((390, 844), (1280, 900)):
        for scheme in ("light", "dark"):
            name = "%d %s" % (width, scheme)
            browser.open(url, width, height, scheme)
            check(name + " is live", browser.wait(LIVE), True)
            settle(browser)
            check(name + " has a chart", browser.wait(
                "document.querySelector('#chart-bytes path') !== null"), True)
            check(name + " scrolls to", browser.eval(
                "document.documentElement.scrollWidth"), width)
            check(name + " sticks out", browser.eval(WIDE), [])
            check(name + " is faint", browser.eval(FAINT), [])
            text = browser.eval("document.body.innerText")
            text = text.replace("\u00a0", " ")
            for t in shows:
                check(name + ": " + t, t.lstrip("!") in text, t[0] != "!")
            check(name + " complains", browser.complaints, [])
            assert origin + "/-/status" in browser.requests
            check(name + " asks", sorted(set(browser.requests)),
                  [origin + "/-/" + p for p in ("", "history", "status")])
            browser.shot("%s/%d-%s.png" % (directory, width, scheme))

    # A page that somebody changed on its way runs nothing of theirs.
    check("a foreign script ran", browser.eval("""(() => {
        const s = document.createElement("script");
        try { s.textContent = "window.foreign = 1"; } catch (e) {}
        try { document.body.append(s); } catch (e) {}
        try { document.body.innerHTML = "<p id=foreign>"; } catch (e) {}
        return [window.foreign, document.getElementById("foreign")];
    })()"""), [None, None])
    assert browser.complaints, "the policy has not stopped it"
    check("another origin was reached", browser.eval(
        "fetch('http://127.0.0.1:9/').then(() => 1, () => 0)"), 0)
    assert any("Content Security Policy" in c for c in browser.complaints), \
        browser.complaints

    browser.open(url, 390, 844, "light")
    check("live", browser.wait(LIVE), True)
    settle(browser)
    before = dict((f[0], f[2]) for f in browser.eval(FIGURES))
    subprocess.run(read, shell=True, check=True)
    settle(browser)
    after = dict((f[0], f[2]) for f in browser.eval(FIGURES))
    assert after["reads.bytes"] > before["reads.bytes"], (before, after)
    check("live while figures change", browser.eval(LIVE), True)

    subprocess.run(stop, shell=True, check=True)
    said = browser.wait("""(() => {
        const t = document.getElementById("age").textContent;
        return t.startsWith("no answer since") && t;
    })()""")
    assert said, "it does not say that no answer comes"
    check("told to those who listen", "No answer" in browser.eval(
        "document.getElementById('live').textContent"), True)
    check("looks old", browser.eval(
        "document.getElementById('main').className"), "old")
    # Old as they are, the figures stay.
    check("last figures", dict((f[0], f[2]) for f in browser.eval(FIGURES)),
          after)
finally:
    browser.close()
