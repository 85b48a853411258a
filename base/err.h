/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/err.h - what went wrong: a code to decide by and a sentence to read.
 *
 * The caller owns a struct err; it holds no pointers, so copying and dropping
 * it are free. Any thread.
 */
#ifndef CAIRN_BASE_ERR_H
#define CAIRN_BASE_ERR_H

#include <stdbool.h>

enum err_code {
    ERR_OK = 0,
    ERR_NOMEM,       /* an allocation failed: ends the job, not the process */
    ERR_ARGUMENT,    /* the caller or the user gave something unusable */
    ERR_IO,          /* a local file, socket or device */
    ERR_TIMEOUT,     /* a deadline passed */
    ERR_CANCELLED,   /* somebody asked for it */
    ERR_DENIED,      /* credentials are wrong or not enough */
    ERR_PROTOCOL,    /* a peer broke the protocol or a document its grammar */
    ERR_REMOTE,      /* a peer said no, in its own words */
    ERR_INTEGRITY,   /* damage: a checksum, tag, id or commitment is wrong */
    ERR_NOT_FOUND,   /* no such thing */
    ERR_CONFLICT,    /* exists already, ambiguous or locked */
    ERR_QUOTA,       /* quota, policy, no room, or a mapping is missing */
    ERR_COLD,        /* in a storage class that must be thawed first */
    ERR_KEY,         /* a key is missing or wrong */
    ERR_UNREACHABLE, /* no connection to a peer, or its TLS is not trusted */
    ERR_AGAIN,       /* nothing is wrong but the moment: try again */
};

struct err {
    enum err_code code; /* what a program decides by: retry? whose fault? */
    int detail;         /* errno, a uv error (< 0), an HTTP status; 0: none */
    char text[480];     /* "part 7 of vm-42: PUT: 503 SlowDown" */
};

/*
 * Replace *e by a code, a detail and a formatted sentence (no newline, no
 * secret). Control characters in the sentence become '?', and a sentence that
 * is too long ends in "...". That of ERR_NOMEM need only say what for: "out of
 * memory" is added. e may be NULL. Returns `code`.
 */
enum err_code err_set(struct err *e, enum err_code code, int detail,
                      const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

#ifdef __clang_analyzer__
/* It does not see into err.c, and would take it that a failure may be ERR_OK. */
static inline enum err_code err_seen(struct err *e, enum err_code code)
{
    if (e)
        e->code = code;
    return code;
}
#define err_set(e, code, ...)                                                  \
    ((void)err_set((e), (code), __VA_ARGS__), err_seen((e), (code)))
#endif

/* Put "fmt: " before the text, keeping code and detail. Returns e->code. */
enum err_code err_context(struct err *e, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Keep the first failure: copy `from` into *e only if *e is ERR_OK. */
void err_keep(struct err *e, const struct err *from);

/* Back to ERR_OK with an empty text. */
void err_clear(struct err *e);

/* A stable lower-case word for a code: "ok", "no_memory", "not_found", ... */
const char *err_name(enum err_code code);

/* The code of a word made by err_name(); false when it is none. */
bool err_from_name(const char *name, enum err_code *code);

#endif
