"""A real browser without a network, as tests and the pictures of the documentation use it.

Selenium drives Debian's Chromium through Debian's own driver, which is of the same version; what WebDriver has no words
for (media, PDF, metrics) goes through the DevTools protocol.
"""

from __future__ import annotations

import base64
import shutil

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

#: No page and no part of the browser itself reaches anything.
OFFLINE = (
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
QUIET = (
    "--headless=new",
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    "--lang=en-US",
)


class Browser:
    """One window; ``open`` begins anew with a page."""

    def __init__(self):
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium")
        for one in (*QUIET, *OFFLINE):
            options.add_argument(one)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
        self._tell("Network.enable")
        # Times of the processor, which other programs on it do not change.
        self._tell("Performance.enable", timeDomain="threadTicks")
        self._tell(
            "Network.emulateNetworkConditions",
            offline=True,
            latency=0,
            downloadThroughput=-1,
            uploadThroughput=-1,
        )

    def close(self):
        self.driver.quit()

    def open(self, path, *, place="", width=1280, height=900, scheme="light", scripts=True):
        """Open a file; at a ``place`` (``#pair-…``); with ``scheme`` as the reader's preference, and without ``scripts`` as for ``noscript``."""
        self._tell(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 500,
        )
        self._tell("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self._tell("Emulation.setScriptExecutionDisabled", value=not scripts)
        # Another hash of the same page would not load it again.
        self.driver.get("about:blank")
        self.driver.get_log("browser")
        self.driver.get(path.absolute().as_uri() + place)
        if scripts:
            # Loaded is not yet laid out: on a busy machine a picture or a print of it may be empty.
            self.driver.execute_async_script(
                "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(() => done()))"
            )
        return self

    @property
    def complaints(self):
        """What the console said since the page was opened."""
        return [one["message"] for one in self.driver.get_log("browser")]

    def run(self, script, *arguments):
        """Run a script in the page; return what it returns."""
        return self.driver.execute_script(script, *arguments)

    def all(self, selector):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def texts(self, selector):
        """The texts of all that a selector finds, in one go."""
        return self.run(
            "return [...document.querySelectorAll(arguments[0])].map((one) => one.textContent)", selector
        )

    def until(self, condition):
        """Wait until a script's expression is true; a link's hash is followed a moment after the click."""
        WebDriverWait(self.driver, 30, poll_frequency=0.02).until(
            lambda driver: driver.execute_script(f"return {condition}")
        )

    def open_pair(self, selector):
        """Click what leads to a pair, and wait for the pair's view."""
        self.one(selector).click()
        self.until("document.getElementById('view').open")
        return self.one("#view")

    def press(self, *keys):
        """Press keys where the focus is."""
        for key in keys:
            self.driver.switch_to.active_element.send_keys(getattr(Keys, key, key))

    @property
    def focused(self):
        return self.driver.switch_to.active_element

    def accessibility(self, axe):
        """What axe-core finds that is serious or critical: rule, and the elements that break it."""
        self.run(axe)
        found = self.driver.execute_async_script(
            "axe.run(document, {resultTypes: ['violations']}).then(arguments[arguments.length - 1])"
        )
        return {
            one["id"]: [node["html"][:200] for node in one["nodes"]]
            for one in found["violations"]
            if one["impact"] in ("serious", "critical")
        }

    def pdf(self):
        """Print the page as a browser does that was told nothing: without backgrounds."""
        return base64.b64decode(self._tell("Page.printToPDF", printBackground=False)["data"])

    def picture(self, *, whole=False, height=None):
        """A PNG of what is seen, or of the whole page."""
        parameters = {"format": "png", "captureBeyondViewport": whole}
        if whole:
            size = self._tell("Page.getLayoutMetrics")["cssContentSize"]
            shown = min(size["height"], height or size["height"])
            parameters["clip"] = {"x": 0, "y": 0, "width": size["width"], "height": shown, "scale": 1}
        return base64.b64decode(self._tell("Page.captureScreenshot", **parameters)["data"])

    @property
    def script_seconds(self):
        """How long scripts ran in the page so far."""
        metrics = self._tell("Performance.getMetrics")["metrics"]
        return next(one["value"] for one in metrics if one["name"] == "ScriptDuration")

    def _tell(self, command, **parameters):
        return self.driver.execute_cdp_cmd(command, parameters)
