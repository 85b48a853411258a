/* SPDX-License-Identifier: Apache-2.0 */
/* s3/s3_client_inner.h - the client as s3_request.c sees it. */
#ifndef CAIRN_S3_S3_CLIENT_INNER_H
#define CAIRN_S3_S3_CLIENT_INNER_H

#include "net/retry.h"
#include "s3/s3_client.h"
#include "s3/s3_sign.h"

struct s3_client {
    struct loop *loop;
    struct http_client *http;
    const struct seal_suite *suite;
    struct s3_signer *signer;
    struct http_trust *trust; /* held, or NULL */
    char *connect_to;         /* or NULL */
    char *base;               /* "https://host:port" before every path */
    char *path;               /* "" or "/bucket", encoded */
    char *host;               /* what is signed: "host" or "host:port" */
    char name[400];
    struct s3_credentials credentials;
    bool region_given, host_style, own_endpoint;
    bool unsigned_payload, checksums;
    bool answered; /* this endpoint has answered before */
    bool skew_told;
    int64_t skew_ms;
    unsigned in_flight, in_flight_max;
    uint64_t timeout_ms;
    struct retry_policy retry;
    struct s3_counters counters;
    struct s3_request *first, *last; /* waiting for room */
    size_t waiting, live;
};

/* Sign for another region from now on. */
enum err_code s3_client_set_region(struct s3_client *c, const char *region,
                                   struct err *err);

#endif
