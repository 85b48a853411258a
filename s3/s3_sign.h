/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3/s3_sign.h - AWS Signature Version 4 in the Authorization header.
 *
 * Path and query are encoded once, here, and the same bytes go into the URL
 * and into what is signed. A signer holds a secret and the key derived from it
 * for the day; it is used by one thread at a time.
 */
#ifndef CAIRN_S3_S3_SIGN_H
#define CAIRN_S3_S3_SIGN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "crypto/seal_suite.h"
#include "net/http_client.h"

/* In place of the payload's hash; over TLS only. */
#define S3_SIGN_UNSIGNED "UNSIGNED-PAYLOAD"
#define S3_SIGN_HEADERS_MAX 24

struct s3_sign_param {
    const char *name;  /* not encoded */
    const char *value; /* not encoded; NULL: as "" */
};

/* Append a key as a path: '/' stays, all but [A-Za-z0-9._~-] as %XX. */
void s3_sign_encode_path(struct buf *out, const char *key);
/* Append one name or value of a query; '/' is encoded too. */
void s3_sign_encode(struct buf *out, const char *text);
/* Append "a=1&b=" in the order that SigV4 signs. At most 16 params
 * (otherwise, and on lack of memory, `out` fails). */
void s3_sign_query(struct buf *out, const struct s3_sign_param *params,
                   size_t count);

struct s3_signer;

/* All texts are copied; token may be NULL. `suite` must outlive it. region and
 * service: at most 63 bytes. ERR_NOMEM, ERR_ARGUMENT. */
enum err_code s3_signer_new(const struct seal_suite *suite,
                            const char *access_key, const char *secret,
                            const char *token, const char *region,
                            const char *service, struct s3_signer **out,
                            struct err *err);
/* Wipes. NULL is fine. */
void s3_signer_free(struct s3_signer *s);

const char *s3_signer_region(const struct s3_signer *s);
/* NULL: none. To be sent, and signed, as x-amz-security-token. */
const char *s3_signer_token(const struct s3_signer *s);

struct s3_sign_request {
    const char *method;
    const char *path;  /* encoded, from '/' on */
    const char *query; /* encoded and sorted; "" */
    /* What is signed: host, x-amz-date and all x-amz-* at least. Names in
     * small letters, no two alike, in any order; at most
     * S3_SIGN_HEADERS_MAX. */
    const struct http_header *headers;
    size_t header_count;
    const char *payload; /* 64 hex digits or S3_SIGN_UNSIGNED */
    uint64_t wall_ms;    /* the time in x-amz-date */
};

/* Append the value of the Authorization header. ERR_NOMEM, ERR_ARGUMENT. */
enum err_code s3_sign(struct s3_signer *s, const struct s3_sign_request *r,
                      struct buf *out, struct err *err);

/* Append the canonical request, for tests and for looking at a refusal. */
enum err_code s3_sign_canonical(const struct s3_sign_request *r,
                                struct buf *out, struct err *err);

#endif
