# SPDX-License-Identifier: Apache-2.0
"""A headless Chromium, driven through its DevTools protocol over a pipe.

Everything it is asked to load, logs or refuses is kept: requests, complaints.
"""
import base64
import json
import os
import shutil
import subprocess
import time

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser",
         "google-chrome")


def program():
    """Its path, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    def __init__(self, directory):
        """directory: for its profile; it is made."""
        # The browser reads commands from its descriptor 3, answers on 4.
        commands, self.to = os.pipe()
        self.answers, answers = os.pipe()
        self.log = open(directory + ".log", "wb")
        self.process = subprocess.Popen(
            ["sh", "-c", 'exec 3<&%d 4>&%d; exec "$@"' % (commands, answers),
             "sh", program(), "--headless", "--no-sandbox", "--disable-gpu",
             "--disable-dev-shm-usage", "--no-first-run", "--hide-scrollbars",
             "--disable-background-networking", "--no-proxy-server",
             "--remote-debugging-pipe", "--user-data-dir=" + directory,
             "about:blank"],
            pass_fds=(commands, answers), stdout=self.log, stderr=self.log)
        os.close(commands)
        os.close(answers)
        self.buffer = b""
        self.last = 0
        self.session = None
        self.requests, self.complaints = [], []
        targets = self.call("Target.getTargets")["targetInfos"]
        page = next(t for t in targets if t["type"] == "page")
        self.session = self.call("Target.attachToTarget", flatten=True,
                                 targetId=page["targetId"])["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(domain + ".enable")

    def _note(self, event):
        method, p = event["method"], event.get("params", {})
        if method == "Page.loadEventFired":
            self.loaded = True
        elif method == "Network.requestWillBeSent":
            self.requests.append(p["request"]["url"])
        elif method == "Log.entryAdded":
            self.complaints.append(p["entry"]["text"])
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(str(p["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled":
            self.complaints.append(str(p["args"]))

    def _receive(self):
        while b"\0" not in self.buffer:
            data = os.read(self.answers, 1 << 20)
            if not data:
                raise RuntimeError("the browser has ended")
            self.buffer += data
        one, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(one)

    def call(self, method, **params):
        self.last += 1
        m = {"id": self.last, "method": method, "params": params}
        if self.session:
            m["sessionId"] = self.session
        os.write(self.to, json.dumps(m).encode() + b"\0")
        while True:
            a = self._receive()
            if a.get("id") == self.last:
                if "error" in a:
                    raise RuntimeError("%s: %s" % (method, a["error"]))
                return a["result"]
            if "method" in a:
                self._note(a)

    def open(self, url, width, height, scheme):
        self.requests, self.complaints = [], []
        self.call("Emulation.setDeviceMetricsOverride", width=width,
                  height=height, deviceScaleFactor=2 if width < 600 else 1,
                  mobile=width < 600)
        self.call("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": scheme}])
        self.loaded = False
        self.call("Page.navigate", url=url)
        while not self.loaded:
            self._note(self._receive())

    def eval(self, expression):
        r = self.call("Runtime.evaluate", expression=expression,
                      returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in r:
            raise RuntimeError(str(r["exceptionDetails"]))
        return r["result"].get("value")

    def wait(self, expression, seconds=30):
        """Until it is true; its last value when it never became so."""
        end = time.monotonic() + seconds
        while not (v := self.eval(expression)) and time.monotonic() < end:
            time.sleep(0.1)
        return v

    def shot(self, path):
        """All of the page, as a picture."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        data = self.call("Page.captureScreenshot", captureBeyondViewport=True,
                         clip={"x": 0, "y": 0, "scale": 1,
                               "width": size["width"],
                               "height": size["height"]})["data"]
        with open(path, "wb") as f:
            f.write(base64.b64decode(data))

    def close(self):
        os.close(self.to)
        os.close(self.answers)
        self.process.terminate()
        self.process.wait(20)
        self.log.close()
