// SPDX-License-Identifier: Apache-2.0
//
// Judges v1a signatures with Node's own Ed25519: a JSON object a line in ({"key": "whpk_...", "headers", "body" in base64}), and a line
// out for each: which of the items of webhook-signature fit, as "true" and "false" with blanks between them; v1 items are left out.
"use strict";

const crypto = require("node:crypto");
const readline = require("node:readline");

readline.createInterface({ input: process.stdin }).on("line", (line) => {
	const { key, headers, body } = JSON.parse(line);
	const raw = Buffer.from(key.replace(/^whpk_/, ""), "base64");
	const jwk = { kty: "OKP", crv: "Ed25519", x: raw.toString("base64url") };
	const publicKey = crypto.createPublicKey({ key: jwk, format: "jwk" });
	const signed = Buffer.concat([Buffer.from(`${headers["webhook-id"]}.${headers["webhook-timestamp"]}.`), Buffer.from(body, "base64")]);
	const items = headers["webhook-signature"].split(" ").map((item) => item.split(",")).filter(([version]) => version === "v1a");

	process.stdout.write(`${items.map(([, value]) => crypto.verify(null, signed, publicKey, Buffer.from(value, "base64"))).join(" ")}\n`);
});
