// SPDX-License-Identifier: Apache-2.0
//
// html.h - pages for people: plain, without script, and without anything from elsewhere.
//
// Law  whatever is not a literal of ours goes through html_text
#pragma once

#include "api/call.h"

// Appends text that means itself everywhere in a page: in content and in quoted attributes.
void html_text(struct buffer *out, struct text t);
// The page up to its first heading, which is `title`, and from its end on.
void html_begin(struct buffer *out, const char *title);
void html_end(struct buffer *out);
// Answers with it: only our own style, no script, no frames, nobody is told where it was.
void html_answer(struct call *call, unsigned status, struct buffer *page); // takes it
void html_style(struct call *call); // GET /renew.css
