/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli/cli_save.h - a file that is there whole or not at all.
 *
 * It grows under a name of its own beside the final one and gets that when it
 * is complete and synced; nothing that exists is replaced. Runs of zeros become
 * holes. "-" is standard output, which is written as it comes.
 */
#ifndef CAIRN_CLI_CLI_SAVE_H
#define CAIRN_CLI_CLI_SAVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct cli_save;

/* ERR_CONFLICT: the file exists; ERR_IO, ERR_NOMEM. */
enum err_code cli_save_new(const char *path, struct cli_save **out,
                           struct err *err);

/* Append. ERR_IO. */
enum err_code cli_save_write(struct cli_save *s, const void *data, size_t len,
                             struct err *err);

uint64_t cli_save_bytes(const struct cli_save *s);

/* It is complete: sync and give it its name. On failure it is gone too.
 * ERR_CONFLICT: meanwhile there is one of that name; ERR_IO. */
enum err_code cli_save_finish(struct cli_save *s, struct err *err);

/* Without cli_save_finish() nothing stays behind. NULL is fine. */
void cli_save_free(struct cli_save *s);

#endif
