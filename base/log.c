/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/parse.h"
#include "base/shown.h"

#define LINE_MAX_BYTES 4096
/* Kept free for what closes a line that was cut: ..."}\n */
#define TAIL_BYTES 8

static atomic_int most_level = LOG_INFO;
static atomic_int line_form = LOG_PLAIN;
static atomic_int log_fd = 2;

struct line {
    char text[LINE_MAX_BYTES];
    size_t len;
    bool json;
    bool full; /* something was left out: nothing more goes in */
};

struct log_field log_text(const char *key, const char *text)
{
    return (struct log_field){.key = key, .kind = LOG_IS_TEXT, .text = text};
}

struct log_field log_u64(const char *key, uint64_t value)
{
    return (struct log_field){.key = key, .kind = LOG_IS_U64, .u64 = value};
}

struct log_field log_i64(const char *key, int64_t value)
{
    return (struct log_field){
        .key = key, .kind = LOG_IS_I64, .u64 = (uint64_t)value};
}

struct log_field log_err(const struct err *err)
{
    return (struct log_field){.key = "error", .kind = LOG_IS_ERR, .err = err};
}

void log_setup(enum log_level most, enum log_form form)
{
    atomic_store(&most_level, (int)most);
    atomic_store(&line_form, (int)form);
}

void log_set_fd(int fd)
{
    atomic_store(&log_fd, fd);
}

/* A closing quote may already lie in the tail. */
static size_t room(const struct line *l)
{
    return l->len < LINE_MAX_BYTES - TAIL_BYTES
               ? LINE_MAX_BYTES - TAIL_BYTES - l->len
               : 0;
}

static bool put(struct line *l, const char *text, size_t len)
{
    if (l->full || len > room(l)) {
        l->full = true;
        return false;
    }
    memcpy(l->text + l->len, text, len);
    l->len += len;
    return true;
}

static bool put_text(struct line *l, const char *text)
{
    return put(l, text, strlen(text));
}

/* What fits into the space that put() keeps free. */
static void put_tail(struct line *l, const char *text)
{
    size_t len = strlen(text);

    memcpy(l->text + l->len, text, len);
    l->len += len;
}

/* Whether a value can stand without quotes in a plain line. */
static bool is_bare(const char *text)
{
    size_t len = strlen(text);

    if (len == 0)
        return false;
    while (len) {
        size_t step = parse_utf8_step(text, len);

        if (!shown_is_plain(text, step) || *text == ' ' ||
            strchr("\"\\=", *text))
            return false;
        text += step;
        len -= step;
    }
    return true;
}

static void put_escaped(struct line *l, const char *text, size_t step)
{
    unsigned char c = (unsigned char)*text;
    char code[8];

    if (c == '"' || c == '\\') {
        put(l, (char[]){'\\', (char)c}, 2);
    } else if (c == '\n' || c == '\t') {
        put_text(l, c == '\n' ? "\\n" : "\\t");
    } else if (shown_is_plain(text, step)) {
        put(l, text, step);
    } else if (l->json && step != 1) {
        put_text(l, "\\ufffd");
    } else if (step > 1) {
        for (size_t i = 0; i < step; i++)
            put_escaped(l, text + i, 0);
    } else {
        snprintf(code, sizeof(code), l->json ? "\\u%04x" : "\\x%02x", c);
        put_text(l, code);
    }
}

/* A text too long for the line ends in "..." within its quotes. */
static void put_value(struct line *l, const char *text)
{
    size_t left = strlen(text);

    if (!l->json && left <= room(l) && is_bare(text)) {
        put(l, text, left);
        return;
    }
    if (!put(l, "\"", 1))
        return;
    while (left && !l->full) {
        size_t step = parse_utf8_step(text, left);

        put_escaped(l, text, step);
        text += step ? step : 1;
        left -= step ? step : 1;
    }
    put_tail(l, l->full ? "...\"" : "\"");
}

/* One field, or nothing of it when not even an empty value would fit. */
static void put_pair(struct line *l, const char *key, const char *text,
                     bool quoted)
{
    char head[64];
    int n = snprintf(head, sizeof(head), l->json ? ",\"%s\":" : " %s=", key);

    if (n >= (int)sizeof(head))
        n = (int)sizeof(head) - 1;
    if (l->full || (size_t)n + 24 > room(l)) {
        l->full = true;
        return;
    }
    put(l, head, (size_t)n);
    if (quoted)
        put_value(l, text);
    else
        put_text(l, text);
}

static void put_field(struct line *l, const struct log_field *f)
{
    char number[24];

    switch (f->kind) {
    case LOG_IS_TEXT:
        if (f->text)
            put_pair(l, f->key, f->text, true);
        break;
    case LOG_IS_U64:
        snprintf(number, sizeof(number), "%ju", (uintmax_t)f->u64);
        put_pair(l, f->key, number, false);
        break;
    case LOG_IS_I64:
        snprintf(number, sizeof(number), "%jd", (intmax_t)(int64_t)f->u64);
        put_pair(l, f->key, number, false);
        break;
    case LOG_IS_ERR:
        if (f->err && f->err->code != ERR_OK) {
            put_pair(l, "code", err_name(f->err->code), true);
            put_pair(l, f->key, f->err->text, true);
        }
        break;
    }
}

static void write_line(const struct line *l)
{
    const char *at = l->text;
    size_t left = l->len;
    int fd = atomic_load(&log_fd);

    while (left) {
        ssize_t n = write(fd, at, left);

        if (n < 0 && errno != EINTR)
            return; /* there is nobody left to tell */
        if (n > 0) {
            at += n;
            left -= (size_t)n;
        }
    }
}

void log_event_(enum log_level level, const char *event,
                const struct log_field *fields)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};
    static const char *const systemd[] = {"<3>", "<4>", "<6>", "<7>"};
    enum log_form form = (enum log_form)atomic_load(&line_form);
    char now[CLOCK_TEXT];
    struct line l;

    if ((int)level > atomic_load(&most_level))
        return;
    l.len = 0;
    l.full = false;
    l.json = form == LOG_JSON;
    clock_rfc3339(clock_wall_ms(clock_system()), now);
    if (form == LOG_SYSTEMD)
        put_text(&l, systemd[level]);
    if (l.json)
        put_text(&l, "{\"time\":\"");
    put_text(&l, now);
    put_text(&l, l.json ? "\",\"level\":\"" : " ");
    put_text(&l, names[level]);
    put_text(&l, l.json ? "\",\"event\":\"" : " ");
    put_text(&l, event);
    if (l.json)
        put_text(&l, "\"");
    for (; fields->key; fields++)
        put_field(&l, fields);
    put_tail(&l, l.json ? "}\n" : "\n");
    write_line(&l);
}
