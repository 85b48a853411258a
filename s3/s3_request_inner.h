/* SPDX-License-Identifier: Apache-2.0 */
/* s3/s3_request_inner.h - a request as its two files see it. */
#ifndef CAIRN_S3_S3_REQUEST_INNER_H
#define CAIRN_S3_S3_REQUEST_INNER_H

#include "base/buf.h"
#include "crypto/seal_digest.h"
#include "loop/timer.h"
#include "loop/work.h"
#include "s3/s3_client_inner.h"
#include "s3/s3_request.h"

enum s3_request_state {
    REQUEST_WAITING, /* for room among the client's requests in flight */
    REQUEST_HASHING, /* on a worker */
    REQUEST_SENDING,
    REQUEST_PAUSING, /* before another try */
    REQUEST_ENDING   /* done() comes in the next turn */
};

struct s3_request {
    struct s3_client *client;
    enum s3_request_state state;
    struct s3_request *next, *prev; /* in the client's queue */
    struct s3_request_opts o;       /* its texts are ours: in `texts` */
    struct buf texts;
    struct buf key_path; /* "/bucket/key", encoded */
    struct buf query;    /* encoded and sorted */
    struct slice *body;
    struct http_header *headers;
    uint64_t body_bytes;

    struct work work;
    struct seal_digest *digest;
    size_t hash_slice, hash_at; /* what is hashed next */
    uint8_t sha256[32];
    bool hashed, hash_failed;

    struct timer timer;
    struct http_transfer *transfer;
    struct buf kept;
    struct retry retry;
    uint64_t signed_ms; /* the time of this try, by the server's clock */
    uint64_t taken;     /* bytes that on_body() took in this try */
    unsigned tries;
    bool good; /* a 2xx came in this try */
    unsigned clocks; /* how often the server's clock was adopted */
    bool cancelled, region_tried;
    struct err own; /* why we broke the transfer off */
};

/* Begin a try. ERR_NOMEM, ERR_ARGUMENT. */
enum err_code s3_request_send(struct s3_request *r,
                              const struct http_transfer_opts *hooks,
                              struct err *err);

/* Whether a body of this request is hashed, and not yet. */
bool s3_request_wants_hash(const struct s3_request *r);
/* The next few MiB; false: that was all (or hash_failed). On a worker, or on
 * the loop for small bodies. */
bool s3_request_hash_some(struct s3_request *r);

/* The server's Date; 0: none. */
uint64_t s3_request_date_ms(const struct http_response *resp);
/* How long the server wants us to wait; 0: it does not say. */
uint64_t s3_request_asked_ms(const struct http_response *resp);

/* Count a try for s3_counters' down_since_ms. in_vain: it may be tried again. */
void s3_request_note_health(const struct s3_request *r, const struct err *err,
                            bool in_vain);

#endif
