# SPDX-License-Identifier: Apache-2.0
#
# authority.py - certificate authorities of a test's own, and servers' certificates by them.
import os
import subprocess

KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, capture_output=True, stdin=subprocess.DEVNULL)


class Authority:
    def __init__(self, folder, name):
        self.folder, self.name = folder, name
        self.key, self.path = os.path.join(folder, f"{name}.key"), os.path.join(folder, f"{name}.pem")
        openssl("req", "-x509", *KEY, "-keyout", self.key, "-out", self.path, "-days", "30", "-subj", f"/CN={name}", "-addext",
                "keyUsage=critical,keyCertSign")
        with open(self.path, encoding="ascii") as file:
            self.pem = file.read()

    def certify(self, host="127.0.0.1"):
        """The path of a file with a certificate for this address, and its key."""
        request, path = os.path.join(self.folder, "request.pem"), os.path.join(self.folder, f"{self.name}-server.pem")
        openssl("req", *KEY, "-keyout", path + ".key", "-out", request, "-subj", "/CN=server", "-addext", f"subjectAltName=IP:{host}")
        openssl("x509", "-req", "-in", request, "-CA", self.path, "-CAkey", self.key, "-copy_extensions", "copy", "-days", "30", "-out", path)
        with open(path, "a", encoding="ascii") as file, open(path + ".key", encoding="ascii") as key:
            file.write(key.read())
        return path
