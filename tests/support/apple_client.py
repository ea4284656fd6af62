# SPDX-License-Identifier: Apache-2.0
#
# apple_client.py - a client of Apple's device enrolment service, written after the documents and not after our own code.
import base64
import hashlib
import hmac
import json
import os
import time
import urllib.parse

from programs import Peer

MEDIA_TYPE = "application/json;charset=UTF8"
AGENT = "depbroker-conformance/1.0"


def encoded(text):
    return urllib.parse.quote(text, safe="-._~")


def authorization(token, url, nonce=None, timestamp=None, realm=None, change=None, drop=(), extra=()):
    """The OAuth header of GET /session. `change` edits the parameters before they are signed."""
    parameters = {
        "oauth_consumer_key": token["consumer_key"], "oauth_token": token["access_token"],
        "oauth_signature_method": "HMAC-SHA1", "oauth_timestamp": str(int(time.time()) if timestamp is None else timestamp),
        "oauth_nonce": nonce or os.urandom(16).hex(), "oauth_version": "1.0",
    }
    parameters.update(change or {})
    for name in drop:
        parameters.pop(name, None)
    joined = "&".join(f"{encoded(k)}={encoded(v)}" for k, v in sorted(parameters.items()))
    base = "&".join(("GET", encoded(url), encoded(joined)))
    key = f"{encoded(token['consumer_secret'])}&{encoded(token['access_secret'])}"
    signature = base64.b64encode(hmac.new(key.encode(), base.encode(), hashlib.sha1).digest()).decode()
    items = [f'{k}="{encoded(v)}"' for k, v in {**parameters, "oauth_signature": signature}.items()
             if k not in drop]
    items += [f'{k}="{encoded(v)}"' for k, v in extra]
    return "OAuth " + ", ".join(([f'realm="{realm}"'] if realm else []) + items)


class AppleClient:
    def __init__(self, url, token, version=10):
        self.url, self.token, self.version = url, token, version
        self.peer = Peer(url)
        self.session = None

    def headers(self, **change):
        headers = {"User-Agent": AGENT, "Content-Type": MEDIA_TYPE}
        if self.version is not None:
            headers["X-Server-Protocol-Version"] = str(self.version)
        if self.session:
            headers["X-ADM-Auth-Session"] = self.session
        for name, value in change.items():
            name = name.replace("_", "-")
            for known in list(headers):
                if known.lower() == name.lower():
                    del headers[known]
            if value is not None:
                headers[name] = value
        return headers

    def sign_on(self, header=None, **how):
        """Answers what came; keeps the session when there is one."""
        header = header or authorization(self.token, self.url + "/session", **how)
        headers = self.headers(X_ADM_Auth_Session=None, Authorization=header)
        answer = self.peer.request("GET", "/session", None, headers)
        if answer.status == 200:
            self.session = answer.json()["auth_session_token"]
        return answer

    def call(self, method, path, body=None, **headers):
        data = json.dumps(body).encode() if isinstance(body, (dict, list)) else body
        answer = self.peer.request(method, path, data, self.headers(**headers))
        self.session = answer.headers.get("X-ADM-Auth-Session") or self.session
        return answer

    def ask(self, method, path, body=None):
        answer = self.call(method, path, body)
        if answer.status != 200:
            raise AssertionError(f"{method} {path}: {answer.status} {answer.text}")
        return answer.json()

    def fetch(self, limit=None):
        """All pages of the full list: devices, and the last cursor."""
        devices, cursor = [], None
        while True:
            body = {**({"limit": limit} if limit else {}), **({"cursor": cursor} if cursor else {})}
            page = self.ask("POST", "/server/devices", body)
            devices += page["devices"]
            cursor = page["cursor"]
            if not page["more_to_follow"]:
                return devices, cursor

    def sync(self, cursor, limit=None):
        changes = []
        while True:
            page = self.ask("POST", "/devices/sync", {"cursor": cursor, **({"limit": limit} if limit else {})})
            changes += page["devices"]
            cursor = page["cursor"]
            if not page["more_to_follow"]:
                return changes, cursor
