# SPDX-License-Identifier: Apache-2.0
#
# renewal.py - what a client's administrator does behind a renewal link, for the walk by plain HTTP and for the one in a browser.
import uuid


def form(file, name="token", filename="server_smime.p7m"):
    """multipart/form-data as browsers send it: headers and body."""
    boundary = "----form" + uuid.uuid4().hex
    body = (f"--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"{filename}\"\r\n"
            "Content-Type: application/octet-stream\r\n\r\n").encode() + file + f"\r\n--{boundary}--\r\n".encode()
    return {"Content-Type": f"multipart/form-data; boundary={boundary}"}, body


def token_for(client, certificate, query=""):
    """Apple's portal: the certificate is uploaded, and a token downloaded."""
    return client.world.apple.call("POST", f"/tenants/{client.apple}/token{query}", certificate)
