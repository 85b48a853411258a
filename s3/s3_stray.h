/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3/s3_stray.h - uploads of one key whose names nobody has: made by a create
 * whose answer was lost.
 *
 * For keys that only we write, since every upload of the key is aborted but
 * the one that is kept. On its client's loop; it is not called off.
 */
#ifndef CAIRN_S3_S3_STRAY_H
#define CAIRN_S3_S3_STRAY_H

#include "s3/s3_object.h"

#define S3_STRAY_MAX 64 /* at once: there is one for each try of a create */
#define S3_STRAY_LOOKS 4 /* a listing may go on showing what was aborted */

/* keep: an upload's id or NULL; copied, like the key. done(): ERR_OK, nothing
 * else is open under this key. ERR_AGAIN: after so many listings there still
 * were more than are aborted at once. */
enum err_code s3_stray_start(struct s3_client *c, const char *key,
                             const char *keep, s3_object_done_fn *done,
                             void *ctx, struct err *err);

#endif
