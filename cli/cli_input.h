/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli/cli_input.h - files, passwords and questions: what comes from the person.
 */
#ifndef CAIRN_CLI_CLI_INPUT_H
#define CAIRN_CLI_CLI_INPUT_H

#include "base/buf.h"
#include "cli/cli_run.h"

/* A whole file ("-": standard input) appended to *out, up to its bound.
 * ERR_IO, ERR_ARGUMENT (too long, or NUL bytes in it), ERR_NOMEM. */
enum err_code cli_input_file(const char *path, struct buf *out,
                             struct err *err);

/* The first line of a file, without its end; not empty. *out should be a
 * buf_init_secret(). */
enum err_code cli_input_secret(const char *path, struct buf *out,
                               struct err *err);

/* Ask on the terminal, without echo. ERR_ARGUMENT: nobody is there. */
enum err_code cli_input_password(const struct cli_run *run,
                                 const char *prompt, struct buf *out,
                                 struct err *err);

/* "... [y/N] ": true for y or yes. False where nobody can be asked. */
bool cli_input_yes(const struct cli_run *run, const char *question);

/* A line typed on the terminal; false where nobody can be asked. */
bool cli_input_line(const struct cli_run *run, const char *prompt, char *out,
                    size_t size);

/* Make a file that must not exist, mode 0600, before anything is asked of the
 * server. ERR_CONFLICT: it exists; ERR_IO. */
enum err_code cli_input_reserve(const char *path, int *fd, struct err *err);

/* Write, sync file and folder, close. On failure the file is removed. */
enum err_code cli_input_keep(const char *path, int fd, const char *text,
                             struct err *err);

/* The reserved file is not needed: close and remove it. */
void cli_input_drop(const char *path, int fd);

#endif
