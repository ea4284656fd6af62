// SPDX-License-Identifier: Apache-2.0
//
// Judges requests with the package standardwebhooks: a JSON object a line in ({"secret", "headers", "body" in base64}), "true" or "false" a line out.
"use strict";

const readline = require("node:readline");
const { Webhook } = require("standardwebhooks");

readline.createInterface({ input: process.stdin }).on("line", (line) => {
	const request = JSON.parse(line);
	let accepted = true;

	try {
		new Webhook(request.secret).verify(Buffer.from(request.body, "base64"), request.headers);
	} catch (error) {
		accepted = false;
	}
	process.stdout.write(`${accepted}\n`);
});
