/* SPDX-License-Identifier: Apache-2.0 */
/*
 * restore/restore_site.h - the store of a vault, its keys, and the threads that
 * cairn-restore runs on.
 *
 * The program does one thing after another: an operation is started, and
 * restore_site_wait() runs the loop until it is done. SIGINT and SIGTERM cancel
 * what is under way; a second one ends the process.
 */
#ifndef CAIRN_RESTORE_RESTORE_SITE_H
#define CAIRN_RESTORE_RESTORE_SITE_H

#include <stdbool.h>

#include "base/exit.h"
#include "crypto/seal_suite.h"
#include "loop/lane.h"
#include "loop/loop.h"
#include "net/http_client.h"
#include "restore/restore_args.h"
#include "store/store.h"
#include "vault/keyring.h"

#define RESTORE_SITE_MEMORY (48 * MIB) /* of a walk or a verification */

struct restore_site {
    struct loop *loop;
    struct lane *slow; /* scrypt */
    struct lane *disk; /* of a folder vault */
    struct lane *out;  /* of the file that is written */
    struct http_client *client;
    struct http_trust *trust;
    struct seal_suite *suite;
    struct store *store;
    struct keyring *keys;
    bool interrupted;
    bool done; /* what restore_site_wait() waits for */
    struct err err;
    enum exit_code exit;
    /* of the operation that is under way */
    void (*cancel)(void *op);
    void *op;
    uv_signal_t signals[2];
    unsigned signals_open;
};

/* Threads, the store, and the vault opened. On failure site->err and
 * site->exit say why; restore_site_fini() in any case. */
bool restore_site_init(struct restore_site *site,
                       const struct restore_args *args);
void restore_site_fini(struct restore_site *site);

/*
 * Run the loop until restore_site_done() was called. cancel(op): when
 * interrupted; done() of the operation must follow. True: site->err is ERR_OK.
 */
bool restore_site_wait(struct restore_site *site, void (*cancel)(void *op),
                       void *op);
/* From a done(): the outcome. */
void restore_site_done(struct restore_site *site, const struct err *err);

/* Note a failure. Returns false. */
bool restore_site_fail(struct restore_site *site, const struct err *err,
                       enum exit_code exit);
/* The same, the code following from the error: of the store, or damage when a
 * thing is not there that must be. */
bool restore_site_fail_reading(struct restore_site *site,
                               const struct err *err);

#endif
