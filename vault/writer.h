/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/writer.h - what a writer of a vault keeps in its own state: the keys it
 * seals under, those it reads with, and the recipients it wraps for. What lies
 * in keys/ of a vault only ever opens (format.md 3).
 *
 * As text, which the catalog seals under the gateway key:
 *
 *   cairn writer 1
 *   vault <id16>
 *   rs <64 hex digits>
 *   mk <64 hex digits> [current]     any number, at most one current
 *   dk <64 hex digits> [current]
 *   recipient <64 hex digits> recovery|gateway|person
 *
 * It holds no counter: every pack and stream has a key of its own, from a salt
 * of its own (format.md 2, 4). A struct writer is read-only once made. Pure; any
 * thread.
 */
#ifndef CAIRN_VAULT_WRITER_H
#define CAIRN_VAULT_WRITER_H

#include "base/buf.h"
#include "vault/keyring.h"

#define WRITER_RECIPIENTS_MAX 64
#define WRITER_TEXT_MAX (4 * MIB)

enum writer_recipient_kind {
    WRITER_RECOVERY, /* its private key lies under a passphrase */
    WRITER_GATEWAY,
    WRITER_PERSON,
};

struct writer_recipient {
    uint8_t public[32];
    enum writer_recipient_kind kind;
};

struct writer {
    struct keyring *keys; /* a reference */
    size_t recipients;
    struct writer_recipient recipient[WRITER_RECIPIENTS_MAX];
};

/* Takes a reference on keys. ERR_NOMEM. */
enum err_code writer_new(struct keyring *keys, struct writer **out,
                         struct err *err);
void writer_free(struct writer *w);

/* Before sharing; a key that is there keeps its kind. ERR_ARGUMENT: too many.
 */
enum err_code writer_add(struct writer *w, const uint8_t public_key[32],
                         enum writer_recipient_kind kind, struct err *err);

/* Before sharing: keys and recipients that `from` has and w has not. What w
 * seals under stays. ERR_KEY: it is of another vault. ERR_ARGUMENT, ERR_NOMEM,
 * ERR_IO. */
enum err_code writer_join(struct writer *w, const struct writer *from,
                          struct err *err);

/* Append the text; `out` must wipe (buf_init_secret). ERR_NOMEM. */
enum err_code writer_print(const struct writer *w, struct buf *out,
                           struct err *err);
/* ERR_KEY: no such text, or the vault id does not follow from RS. ERR_NOMEM. */
enum err_code writer_parse(const struct seal_suite *suite, const void *text,
                           size_t len, struct writer **out, struct err *err);

#endif
