/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3/s3_credentials.h - access key, secret and session token, as AWS's
 * credentials files hold them:
 *
 *   [default]
 *   aws_access_key_id = AKIA...
 *   aws_secret_access_key = ...
 *   aws_session_token = ...
 *
 * Lines that begin with '#' or ';' are comments. Other keys of the profile are
 * passed over, a key that stands twice is an error. A plain value; wipe it.
 */
#ifndef CAIRN_S3_S3_CREDENTIALS_H
#define CAIRN_S3_S3_CREDENTIALS_H

#include <stddef.h>

#include "base/err.h"

struct s3_credentials {
    char access_key[160];
    char secret[160];
    char token[4096]; /* "" : none */
};

/* profile NULL: "default". ERR_ARGUMENT names line and cause, never a value.
 */
enum err_code s3_credentials_parse(const char *text, size_t len,
                                   const char *profile,
                                   struct s3_credentials *out, struct err *err);

/* Reads a file of at most 64 KiB; blocks, so at start-up or on a lane.
 * ERR_ARGUMENT, ERR_NOT_FOUND, ERR_IO. */
enum err_code s3_credentials_load(const char *path, const char *profile,
                                  struct s3_credentials *out, struct err *err);

void s3_credentials_wipe(struct s3_credentials *c);

#endif
