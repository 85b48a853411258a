/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crypto/seal_file.h - small secret files, for the files of crypto/.
 *
 * Blocking: at start-up and in command line programs only.
 */
#ifndef CAIRN_CRYPTO_SEAL_FILE_H
#define CAIRN_CRYPTO_SEAL_FILE_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"

#define SEAL_FILE_MAX 4096

/* Append the whole file to out, which wipes. own: refuse one that group or
 * others may read or write (ERR_KEY). ERR_IO, ERR_NOT_FOUND, ERR_KEY (too
 * long). */
enum err_code seal_file_read(const char *path, bool own, struct buf *out,
                             struct err *err);

/* Write a file that must not exist, mode 0600, synced with its folder. On
 * failure nothing is left. ERR_CONFLICT, ERR_IO. */
enum err_code seal_file_write(const char *path, const void *data, size_t len,
                              struct err *err);

#endif
