/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/shown.h"

#undef err_set

static const char *const names[] = {
    [ERR_OK] = "ok",
    [ERR_NOMEM] = "no_memory",
    [ERR_ARGUMENT] = "argument",
    [ERR_IO] = "io",
    [ERR_TIMEOUT] = "timeout",
    [ERR_CANCELLED] = "cancelled",
    [ERR_DENIED] = "denied",
    [ERR_PROTOCOL] = "protocol",
    [ERR_REMOTE] = "remote",
    [ERR_INTEGRITY] = "integrity",
    [ERR_NOT_FOUND] = "not_found",
    [ERR_CONFLICT] = "conflict",
    [ERR_QUOTA] = "quota",
    [ERR_COLD] = "cold",
    [ERR_KEY] = "key",
    [ERR_UNREACHABLE] = "unreachable",
    [ERR_AGAIN] = "again",
};

/* Peers and users supply parts of the sentence: keep it on one line, and what
 * moves cursors out of it. */
static void clean(char *text, size_t size, bool cut)
{
    size_t end = size - 4;

    if (cut) {
        while (end && ((unsigned char)text[end] & 0xc0) == 0x80)
            end--; /* in front of a letter */
        memcpy(text + end, "...", 4);
    }
    shown_clean(text);
}

/* What there was no memory for is told already; that there was none is not. */
static int add_cause(char *text, size_t size, int n)
{
    static const char cause[] = ": out of memory";

    if (strstr(text, "memory") || (size_t)n + sizeof(cause) > size)
        return n;
    memcpy(text + n, cause, sizeof(cause));
    return n + (int)sizeof(cause) - 1;
}

enum err_code err_set(struct err *e, enum err_code code, int detail,
                      const char *fmt, ...)
{
    char text[sizeof(e->text)];
    va_list ap;
    int n;

    if (!e)
        return code;
    va_start(ap, fmt);
    n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (n < 0)
        text[0] = 0;
    else if (code == ERR_NOMEM)
        n = add_cause(text, sizeof(text), n);
    clean(text, sizeof(text), n >= (int)sizeof(text));
    e->code = code;
    e->detail = detail;
    memcpy(e->text, text, sizeof(text));
    return code;
}

enum err_code err_context(struct err *e, const char *fmt, ...)
{
    char head[sizeof(e->text)];
    char text[sizeof(e->text)];
    va_list ap;
    int n;

    if (!e)
        return ERR_OK;
    va_start(ap, fmt);
    n = vsnprintf(head, sizeof(head), fmt, ap);
    va_end(ap);
    if (n < 0)
        head[0] = 0;
    n = snprintf(text, sizeof(text), "%s: %s", head, e->text);
    clean(text, sizeof(text), n >= (int)sizeof(text));
    memcpy(e->text, text, sizeof(text));
    return e->code;
}

void err_keep(struct err *e, const struct err *from)
{
    if (e->code == ERR_OK)
        *e = *from;
}

void err_clear(struct err *e)
{
    e->code = ERR_OK;
    e->detail = 0;
    e->text[0] = 0;
}

const char *err_name(enum err_code code)
{
    if ((unsigned)code >= sizeof(names) / sizeof(names[0]))
        return "unknown";
    return names[code];
}

bool err_from_name(const char *name, enum err_code *code)
{
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(name, names[i]) == 0) {
            *code = (enum err_code)i;
            return true;
        }
    }
    return false;
}
