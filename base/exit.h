/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/exit.h - what our programs exit with, and which error leads there.
 *
 * The same table serves cairn, cairn-restore, recorded causes of jobs and the
 * "exit" member of the control API's problems. Any thread.
 */
#ifndef CAIRN_BASE_EXIT_H
#define CAIRN_BASE_EXIT_H

#include <stdbool.h>

#include "base/err.h"

enum exit_code {
    EXIT_OK = 0,
    EXIT_FAILED = 1,       /* also: one VM of several */
    EXIT_USAGE = 2,
    EXIT_WARNINGS = 3,     /* all done, with warnings */
    EXIT_NOT_FOUND = 4,
    EXIT_DENIED = 5,
    EXIT_POLICY = 6,       /* quota, policy or a mapping missing */
    EXIT_CONFLICT = 7,     /* conflict, ambiguous or locked */
    EXIT_DAMAGE = 8,
    EXIT_COLD = 9,
    EXIT_NO_VAULT = 10,
    EXIT_KEY = 11,         /* wrong or missing key */
    EXIT_POOL = 12,        /* pool unreachable */
    EXIT_STORE = 13,       /* store unreachable */
    EXIT_AGAIN = 75,       /* try again; also: no cairnd answers */
    EXIT_INTERRUPTED = 130,
};

/* Whom the failed call was made to: tells EXIT_POOL from EXIT_STORE. VAULT: a
 * store, as long as the vault in it is being opened. */
enum exit_peer {
    EXIT_PEER_NONE,
    EXIT_PEER_POOL,
    EXIT_PEER_STORE,
    EXIT_PEER_VAULT,
};

/* ERR_UNREACHABLE and ERR_TIMEOUT become EXIT_POOL, EXIT_STORE, or without a
 * peer EXIT_AGAIN; what is not found while a vault is opened, EXIT_NO_VAULT;
 * all else depends on the code alone. */
enum exit_code exit_of(enum err_code code, enum exit_peer peer);

/* The same, with one thing that the code alone does not tell: a store's 404
 * that is no object's (ERR_REMOTE) means that its bucket does not exist. */
enum exit_code exit_of_err(const struct err *err, enum exit_peer peer);

/* Whether n is a number of this table. */
bool exit_is_known(long n);

/* "not found", "pool unreachable": for people. */
const char *exit_text(enum exit_code code);

#endif
