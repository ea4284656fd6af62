// SPDX-License-Identifier: Apache-2.0
//
// One page in Chromium, with script switched off, told what to do line by line by renewal_in_a_browser.py.
const { chromium } = require("playwright-core");
const path = require("node:path");
const readline = require("node:readline");

const flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
	"--disable-component-update", "--disable-sync"];

async function main(folder) {
	const context = await chromium.launchPersistentContext(path.join(folder, "profile"), {
		executablePath: "/usr/bin/chromium", args: flags, javaScriptEnabled: false, acceptDownloads: true, locale: "en-GB",
	});
	const page = context.pages()[0] ?? await context.newPage();
	const complaints = [];
	const heading = () => page.locator("h1").innerText();
	page.on("console", (message) => complaints.push(message.text()));
	page.on("requestfailed", (request) => complaints.push(request.url()));

	const steps = {
		open: async (url) => { await page.goto(url); return heading(); },
		screenshot: async (file) => { await page.screenshot({ path: file, fullPage: true }); return ""; },
		download: async () => {
			const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: "Download the certificate" }).click()]);
			const file = path.join(folder, download.suggestedFilename());
			await download.saveAs(file);
			return file;
		},
		send: async (file) => {
			await page.getByLabel("The file from Apple").setInputFiles(file);
			await Promise.all([page.waitForNavigation(), page.getByRole("button", { name: "Send" }).click()]);
			return heading();
		},
		back: async () => {
			await Promise.all([page.waitForNavigation(), page.getByRole("link", { name: "Back to the steps" }).click()]);
			return heading();
		},
		complaints: async () => complaints.filter((text) => !text.includes("status of 422")).join("; "),
	};

	for await (const line of readline.createInterface({ input: process.stdin })) {
		const [step, ...words] = line.split(" ");
		try {
			console.log(`ok ${await steps[step](words.join(" "))}`);
		} catch (error) {
			console.log(`failed ${error.message.split("\n")[0]}`);
		}
	}
	await context.close();
}

main(process.argv[2]);
