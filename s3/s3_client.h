/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3/s3_client.h - one bucket at one endpoint, and how to talk to it.
 *
 * A client lives on the loop of its http_client and is used on its thread
 * only. It signs, numbers its requests in flight, waits and tries again, and
 * keeps what it learnt: the server's clock, the bucket's region.
 */
#ifndef CAIRN_S3_S3_CLIENT_H
#define CAIRN_S3_S3_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "crypto/seal_suite.h"
#include "net/http_client.h"
#include "s3/s3_credentials.h"

struct s3_client;

enum s3_style {
    S3_STYLE_AUTO, /* the host for AWS's own endpoint, else the path */
    S3_STYLE_PATH, /* https://endpoint/bucket/key */
    S3_STYLE_HOST  /* https://bucket.endpoint/key */
};

/* Counted for somebody else's figures; each may be NULL. */
struct s3_counters {
    uint64_t *requests;        /* sent, tries counted */
    uint64_t *lists;           /* of these, listings */
    uint64_t *sent, *received; /* bytes of bodies */
    uint64_t *strays;          /* creates that may have left an upload which
                                  could not be looked for */
    uint64_t *down_since_ms;   /* of the loop's monotonic clock: the first try
                                  in vain since one got an answer; 0: none */
};

struct s3_client_opts {
    const struct seal_suite *suite; /* must outlive the client */
    const char *endpoint; /* "https://host[:port]"; NULL: AWS's for the region*/
    const char *region;   /* NULL: "us-east-1" until the server names another */
    const char *bucket;
    const struct s3_credentials *credentials; /* copied */
    struct http_trust *trust; /* held; https only, and then required */
    const char *connect_to;   /* as in http_transfer_opts; NULL: none */
    enum s3_style style;
    /* Do not hash what is sent: over https only (ERR_ARGUMENT otherwise). */
    bool unsigned_payload;
    bool checksums;         /* x-amz-checksum-sha256 with objects and parts */
    unsigned in_flight_max; /* requests at once; 0: 64 */
    uint64_t timeout_ms;    /* to connect, to the first byte, between two
                               pieces; 0: 60 s */
    uint64_t retry_ms;      /* how long one request is tried; 0: 2 min */
    unsigned tries_max;     /* 0: as many as retry_ms gives time for */
    bool known;             /* it has answered before this client: when nobody
                               does, that passes. Else three tries are enough
                               to find out that the address is wrong */
    uint64_t pause_ms;      /* before the second try, doubled for each that
                               follows up to 20 s, and each time a random part
                               of it is waited; 0: 300 ms */
    struct s3_counters counters;
};

/* ERR_ARGUMENT says what is wrong with endpoint, bucket or region; ERR_NOMEM.
 */
enum err_code s3_client_new(struct loop *loop, struct http_client *http,
                            const struct s3_client_opts *opts,
                            struct s3_client **out, struct err *err);

/* No request may be under way; a done() may do it. */
void s3_client_free(struct s3_client *c);

/* From now on, tries under way included in their next round. ERR_NOMEM,
 * ERR_ARGUMENT. */
enum err_code s3_client_set_credentials(struct s3_client *c,
                                        const struct s3_credentials *cred,
                                        struct err *err);

/* "s3://bucket at host" */
const char *s3_client_name(const struct s3_client *c);
const char *s3_client_region(const struct s3_client *c);
/* What must be added to the loop's clock to get the server's; 0 until a
 * request was refused for it. */
int64_t s3_client_skew_ms(const struct s3_client *c);

/* Every store has what AWS calls a bucket name, with ':' for Ceph's tenants:
 * 3 to 255 of [A-Za-z0-9._:-]. */
bool s3_client_bucket_ok(const char *bucket);

#endif
