/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gateway/state_dir.h - the gateway's state directory: made, locked, checked.
 *
 * At the start, before threads. One process at a time holds the lock, for as
 * long as it lives.
 */
#ifndef CAIRN_GATEWAY_STATE_DIR_H
#define CAIRN_GATEWAY_STATE_DIR_H

#include <stddef.h>

#include "base/err.h"
#include "crypto/seal_key.h"

/*
 * Make `path` (mode 0700) and what it needs inside, lock it. *fd keeps the
 * lock. ERR_CONFLICT: another process holds it (its pid is in the text);
 * ERR_IO; ERR_DENIED: it belongs to somebody else or others may read it.
 */
enum err_code state_dir_open(const char *path, int *fd, struct err *err);

/* Load the gateway key, make it when there is none (made: said in the log). */
enum err_code state_dir_key(const char *path, struct seal_key *out,
                            struct err *err);

/* A small file's text, at most max bytes, NUL-terminated, to free(). */
enum err_code state_dir_read(const char *path, size_t max, char **out,
                             struct err *err);

#endif
