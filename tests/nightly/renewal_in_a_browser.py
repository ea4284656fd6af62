#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# A client's administrator renews the token in a real browser, without script: Chromium from Debian, driven by playwright-core from npm.
# Exit code 77: npm's registry cannot be reached. Screenshots are left in the build folder.
import os
import subprocess
import sys

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests/support"))
from programs import BUILD, equal, run_tests, test  # noqa: E402
from renewal import token_for  # noqa: E402
from world import World, wait_until  # noqa: E402

PLAYWRIGHT = "playwright-core@1.65.1"
MODULES = os.path.join(BUILD, "browser")


class Browser:
    """One page; a line each way for a step (renewal_in_a_browser.js)."""

    def __init__(self, folder):
        self.process = subprocess.Popen(["node", os.path.join(HERE, "renewal_in_a_browser.js"), folder], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, env=os.environ | {"NODE_PATH": os.path.join(MODULES, "node_modules")})

    def ask(self, *words):
        self.process.stdin.write(" ".join(words) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().strip()
        if not answer.startswith("ok"):
            raise AssertionError(f"{words[0]}: {answer}")
        return answer[3:]

    def close(self):
        self.process.stdin.close()
        self.process.wait(60)


@test
def an_administrator_renews_the_token_without_script():
    with World(workers=1) as world:
        client = world.onboard("acme", devices=1)
        world.until_equal(client)
        link = world.technician.post(f"{client.path}/token/renewal-links")
        browser = Browser(world.folder)
        try:
            equal(browser.ask("open", f"http://{world.broker.listen}{link['path']}"), "Renew the server token", "heading")
            browser.ask("screenshot", os.path.join(BUILD, "renewal-page.png"))
            with open(browser.ask("download"), "rb") as file:
                certificate = file.read()
            equal(browser.ask("send", __file__), "This is not a server token", "a wrong file")
            equal(browser.ask("back"), "Renew the server token", "the way back")
            path = os.path.join(world.folder, "server_smime.p7m")
            with open(path, "wb") as file:
                file.write(token_for(client, certificate))
            equal(browser.ask("send", path), "The token is renewed", "result")
            browser.ask("screenshot", os.path.join(BUILD, "renewal-result.png"))
            equal(browser.ask("complaints"), "", "of the browser")
            equal(browser.ask("open", f"http://{world.broker.listen}{link['path']}"), "This link does not work", "once")
        finally:
            browser.close()
        wait_until(lambda: world.technician.get(f"{client.path}/token")["taken_by"] == f"link:{link['id']}", "taken", 30)


def install():
    subprocess.run([os.path.join(ROOT, "deploy/dependencies.sh"), "browser"], check=True)
    if not os.path.isdir(os.path.join(MODULES, "node_modules/playwright-core")):
        os.makedirs(MODULES, exist_ok=True)
        done = subprocess.run(["npm", "install", "--prefix", MODULES, "--no-audit", "--no-fund", "--ignore-scripts", PLAYWRIGHT], check=False)
        if done.returncode != 0:
            print("playwright-core cannot be had from npm")
            sys.exit(77)


if __name__ == "__main__":
    install()
    sys.exit(run_tests())
