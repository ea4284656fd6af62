// SPDX-License-Identifier: Apache-2.0
#include "api/html.h"

static const char style[] =
	":root{color-scheme:light dark}\n"
	"body{font:1.125rem/1.6 system-ui,sans-serif;margin:0;color:#1a1a1a;background:#fff}\n"
	"main{max-width:42rem;margin:0 auto;padding:2rem 1.25rem}\n"
	"h1{font-size:1.75rem;line-height:1.25}\n"
	"h2{font-size:1.25rem;margin-top:2rem}\n"
	"li{margin:.75rem 0}\n"
	"a{color:#0b57a4}\n"
	"dl{display:grid;grid-template-columns:max-content 1fr;gap:.25rem 1.25rem}\n"
	"dt{font-weight:600}\n"
	"dd{margin:0;overflow-wrap:anywhere}\n"
	"label{display:block;font-weight:600}\n"
	"input,button{font:inherit;margin:.5rem 0}\n"
	"button{padding:.6rem 1.5rem;border:0;border-radius:.4rem;background:#0b57a4;color:#fff;cursor:pointer}\n"
	":focus-visible{outline:3px solid #c05a00;outline-offset:2px}\n"
	"@media (prefers-color-scheme:dark){body{color:#eee;background:#161616}a{color:#8ec5ff}button{background:#8ec5ff;color:#10243a}}\n";

void html_text(struct buffer *out, struct text t)
{
	if (!text_is_utf8(t)) {
		buffer_add_string(out, "\xef\xbf\xbd");
		return;
	}
	for (size_t i = 0; i < t.length; i++) {
		switch (t.bytes[i]) {
		case '&': buffer_add_string(out, "&amp;"); break;
		case '<': buffer_add_string(out, "&lt;"); break;
		case '>': buffer_add_string(out, "&gt;"); break;
		case '"': buffer_add_string(out, "&quot;"); break;
		case '\'': buffer_add_string(out, "&#39;"); break;
		default: buffer_add(out, &t.bytes[i], 1); break;
		}
	}
}

void html_begin(struct buffer *out, const char *title)
{
	buffer_add_string(out, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
		"<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"robots\" content=\"noindex\">\n<title>");
	html_text(out, text_of(title));
	buffer_add_string(out, "</title>\n<link rel=\"stylesheet\" href=\"/renew.css\">\n</head>\n<body>\n<main>\n<h1>");
	html_text(out, text_of(title));
	buffer_add_string(out, "</h1>\n");
}

void html_end(struct buffer *out)
{
	buffer_add_string(out, "</main>\n</body>\n</html>\n");
}

void html_answer(struct call *call, unsigned status, struct buffer *page)
{
	http_answer_header(call->request, "Content-Security-Policy",
		"default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'");
	http_answer_header(call->request, "Referrer-Policy", "no-referrer");
	http_answer_header(call->request, "X-Frame-Options", "DENY");
	http_answer_header(call->request, "Cross-Origin-Opener-Policy", "same-origin");
	http_answer_buffer(call->request, status, "text/html; charset=utf-8", page);
}

void html_style(struct call *call)
{
	http_answer(call->request, 200, "text/css; charset=utf-8", text_of(style));
}
