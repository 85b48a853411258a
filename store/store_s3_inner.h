/* SPDX-License-Identifier: Apache-2.0 */
/* store/store_s3_inner.h - the store as its files see it. */
#ifndef CAIRN_STORE_STORE_S3_INNER_H
#define CAIRN_STORE_STORE_S3_INNER_H

#include "store/store_s3.h"

#define STORE_S3_PREFIX_MAX 801

struct store_s3 {
    struct store base;
    struct s3_client *client;
    char prefix[STORE_S3_PREFIX_MAX]; /* "" or "a/b/" */
};

/* Can it be a prefix ("a/b") in a bucket? */
bool store_s3_prefix_ok(const char *prefix);

/* "GOVERNANCE", "COMPLIANCE" or NULL. */
const char *store_s3_lock_word(enum store_lock lock);

#endif
