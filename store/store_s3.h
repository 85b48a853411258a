/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store/store_s3.h - a bucket and a prefix in it as an object store.
 */
#ifndef CAIRN_STORE_STORE_S3_H
#define CAIRN_STORE_STORE_S3_H

#include "base/err.h"
#include "s3/s3_client.h"
#include "store/store.h"

struct store_s3_opts {
    struct s3_client_opts client; /* but for its counters, which are ours */
    const char *prefix; /* copied; "" or "a/b", without slashes around it; at
                           most 800 bytes */
    const struct store_traits *traits; /* as an earlier probe found; NULL: none
                                          is taken for granted */
};

/* The http_client, suite and credentials' owners as in s3_client.h.
 * ERR_ARGUMENT, ERR_NOMEM. */
enum err_code store_s3_new(struct loop *loop, struct http_client *http,
                           const struct store_s3_opts *opts, struct store **out,
                           struct err *err);

/* s: made by store_s3_new(); so in what follows. */
enum err_code store_s3_set_credentials(struct store *s,
                                       const struct s3_credentials *cred,
                                       struct err *err);

/* Region as configured or found; the server's clock minus ours. */
const char *store_s3_region(const struct store *s);
int64_t store_s3_skew_ms(const struct store *s);

/*
 * Find out what the store really does and note it in s->traits. Writes, reads
 * and removes a few small objects under <prefix>/probe/. lock: also whether
 * retention is honoured; its objects can be removed only when their retention
 * of a few seconds is over, which is waited for.
 * done(): ERR_OK when the store can be used at all.
 */
enum err_code store_s3_probe(struct store *s, enum store_lock lock,
                             void (*done)(void *ctx, const struct err *err,
                                          const struct store_traits *traits),
                             void *ctx, struct err *err);

/* "s3://bucket/pre/fix": bucket and prefix, which may be empty. False: it is
 * not of that form. */
bool store_s3_parse_url(const char *url, char bucket[256], char prefix[801]);

#endif
