/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/sealed.h - sealed streams by a keyring: the key is looked up for
 * reading, and the current one used for writing. Pure; any thread.
 */
#ifndef CAIRN_VAULT_SEALED_H
#define CAIRN_VAULT_SEALED_H

#include "base/buf.h"
#include "crypto/seal_stream.h"
#include "vault/keyring.h"

/* Append the opened stream to out. ERR_KEY: its key is not held;
 * ERR_INTEGRITY, ERR_NOMEM. */
enum err_code sealed_open(const struct keyring *keys,
                          enum seal_stream_kind kind, const char *name,
                          const void *sealed, size_t len, struct buf *out,
                          struct err *err);

/* Append a stream under the current MK (DK for VM metadata). ERR_KEY: there is
 * none; ERR_NOMEM, ERR_IO. */
enum err_code sealed_make(const struct keyring *keys,
                          enum seal_stream_kind kind, const char *name,
                          struct slice plain, struct buf *out, struct err *err);

#endif
