/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/log.h - events with fields, one line each, to standard error.
 *
 *   log_event(LOG_INFO, "backup_done", log_text("tenant", t),
 *             log_u64("bytes", n), LOG_END);
 * writes
 *   2026-11-20T08:15:30Z info backup_done tenant=acme bytes=1048576
 *
 * Values with spaces, quotes or control characters are quoted and escaped. No
 * secrets, session ids or signed URLs ever get here. Any thread; a line is
 * written in one piece and is cut at 4 KiB.
 */
#ifndef CAIRN_BASE_LOG_H
#define CAIRN_BASE_LOG_H

#include <stdint.h>

#include "base/err.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };
enum log_form { LOG_PLAIN, LOG_JSON, LOG_SYSTEMD /* "<3>" before the line */ };

struct log_field {
    const char *key; /* NULL ends the list */
    enum { LOG_IS_TEXT, LOG_IS_U64, LOG_IS_I64, LOG_IS_ERR } kind;
    const char *text;
    uint64_t u64;
    const struct err *err;
};

/* text NULL: the field is left out. err: fields code= and error=. */
struct log_field log_text(const char *key, const char *text);
struct log_field log_u64(const char *key, uint64_t value);
struct log_field log_i64(const char *key, int64_t value);
struct log_field log_err(const struct err *err);
#define LOG_END ((struct log_field){0})

/* Process-wide; call before threads start. Default: LOG_INFO, LOG_PLAIN. */
void log_setup(enum log_level most, enum log_form form);

/* Where lines go; default file descriptor 2. */
void log_set_fd(int fd);

void log_event_(enum log_level level, const char *event,
                const struct log_field *fields);
#define log_event(level, event, ...)                                           \
    log_event_((level), (event), (const struct log_field[]){__VA_ARGS__})

#endif
