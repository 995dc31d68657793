/* Unit chat: renders the template that frames a query and a document for a causal reranker.
 *
 * Templates are written in Jinja. What rerankers use of it is rendered as transformers does: text, {{ … }}, {% set %}, {% if %}, comments, white
 * space control; messages selected by role or by index, first, last, map, default, literals, joined strings, comparisons. All else is refused by
 * name: a template is a file of a stranger, and a score of half a template would be wrong. */
#ifndef AKI_CHAT_H
#define AKI_CHAT_H

#include "base/base.h"

enum { AKI_CHAT_MESSAGES = 3, AKI_CHAT_TEMPLATE_LIMIT = 1 << 16 /* bytes */ };

struct aki__message { const char *role, *content; size_t size; };      /* size: bytes of content */

/* Appends the rendered messages [count] to *out. Errors: UNSUPPORTED (what is not implemented, by name and byte), INVALID (no valid
 * template, or it does not fit the messages), NOMEM. */
aki_status aki__chat_render(struct aki__buf *out, const char *template, const struct aki__message *messages, size_t count, aki_error *err);

#endif
