/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tenants/catalog.h - what the gateway knows: one SQLite file.
 *
 * Every function may block: it runs on the catalog lane, one thread at a time.
 * Each one is a transaction of its own, or part of the one that
 * catalog_begin() opened. Rows are structs whose texts belong to the row's
 * `owned`: what a _get() or _find() filled in is given back by the type's
 * _fini(); what an _each() callback is shown is borrowed until it returns, and
 * the callback does not call into the catalog.
 *
 * Common errors: ERR_NOMEM, ERR_IO (the file), ERR_INTEGRITY (the file is
 * damaged), ERR_ARGUMENT (a name or text is not acceptable), ERR_NOT_FOUND,
 * ERR_CONFLICT, ERR_KEY (a sealed value does not open under this gateway's
 * key). Tenants and vaults in error texts are named, never numbered.
 */
#ifndef CAIRN_TENANTS_CATALOG_H
#define CAIRN_TENANTS_CATALOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "crypto/seal_key.h"

struct catalog;

#define CATALOG_NAME 41   /* of a tenant, pool or vault, with its NUL */
#define CATALOG_UUID 37   /* a uuid's text, with its NUL */
#define CATALOG_CURSOR 96 /* the longest cursor, with its NUL */

struct catalog_opts {
    const char *path; /* made when absent, mode 0600; ":memory:" in tests */
    const struct seal_suite *suite;     /* all outlive the catalog */
    const struct seal_key *gateway_key; /* seals passwords and keys */
    const struct clock *clock;          /* NULL: clock_system() */
};

/*
 * Open, check and bring to the newest schema. ERR_INTEGRITY: not a database,
 * or damaged; ERR_CONFLICT: made by a newer program, or another process has
 * it open; ERR_KEY: made under another gateway key; ERR_IO.
 */
enum err_code catalog_open(const struct catalog_opts *opts,
                           struct catalog **out, struct err *err);
void catalog_close(struct catalog *c);

/* Several calls as one transaction. Nested pairs count as part of the outer
 * one; after a rollback of an inner one the outer can only be rolled back. */
enum err_code catalog_begin(struct catalog *c, struct err *err);
enum err_code catalog_commit(struct catalog *c, struct err *err);
void catalog_rollback(struct catalog *c);

/* One page of a list: rows after `cursor` (NULL or "": from the start), at
 * most `limit` (1 to 1000). `next` is "" when nothing is left. */
struct catalog_page {
    const char *cursor;
    unsigned limit;
    char next[CATALOG_CURSOR];
};

/* Small things that are kept by name, such as the gateway's own id. value may
 * be appended to *out only when it is found; absent: ERR_NOT_FOUND. */
enum err_code catalog_setting_get(struct catalog *c, const char *name,
                                  struct buf *out, struct err *err);
enum err_code catalog_setting_set(struct catalog *c, const char *name,
                                  const char *value, struct err *err);

/* The schema's version, and the newest one that this program knows. */
unsigned catalog_schema(const struct catalog *c);
unsigned catalog_schema_newest(void);

#endif
