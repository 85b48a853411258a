/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3/s3_request.h - one request of S3: signed, sent, and sent again while that
 * may help.
 *
 *   WAITING --room--> HASHING --> SENDING --answer--> done
 *                        ^           | worth another try
 *                        +- PAUSING <+
 *
 * All of S3's requests may be repeated; what a repeated one can find (its own
 * deed) is for the caller to judge, who is told how often it was sent.
 * A try that is cut short by s3_request_cancel() may have been done, too.
 */
#ifndef CAIRN_S3_S3_REQUEST_H
#define CAIRN_S3_S3_REQUEST_H

#include "base/bytes.h"
#include "s3/s3_client.h"
#include "s3/s3_sign.h"
#include "s3/s3_xml.h"

struct s3_request;

#define S3_REQUEST_HEADERS_MAX 8

/* What came back in the end. Borrowed: valid until done() returns. */
struct s3_answer {
    int status;                       /* 0: no answer came */
    const struct http_response *head; /* NULL: no answer came */
    const uint8_t *body;              /* kept, at most keep_max */
    size_t len;
    const struct s3_xml_error *error; /* never NULL; empty if it said none */
    unsigned tries;
    uint64_t date_ms; /* Date; 0: none */
};

struct s3_request_opts {
    const char *method;
    const char *what; /* "PUT", "complete": for messages; not copied */
    const char *key;  /* copied; NULL: the bucket itself */
    const struct s3_sign_param *query; /* copied */
    size_t params;
    /* Copied; names in small letters; all are signed. */
    const struct http_header *headers;
    size_t header_count;
    const struct slice *body; /* the array is copied, bytes borrowed to done()*/
    size_t slices;
    const uint8_t *sha256; /* of the body; NULL: computed where it is needed */
    bool content_md5;      /* small bodies only: computed on the loop */
    bool checksum;         /* x-amz-checksum-sha256 */
    size_t keep_max;       /* of a 2xx's body; more is ERR_PROTOCOL */
    bool verdict_in_body;  /* a 200 may carry an <Error> */
    /* Whether a 2xx is the answer that was asked for (head and what was kept
     * of its body); else ERR_PROTOCOL, and it is asked for again. May be
     * called once per try. NULL: any is. */
    enum err_code (*check)(void *ctx, const struct http_response *r,
                           const uint8_t *body, size_t len, struct err *err);
    bool listing;
    bool once; /* one try only */
    uint64_t retry_ms; /* less than the client's; 0: as the client's */
    /* Before each try: further headers, at most S3_REQUEST_HEADERS_MAX with
     * those above; values must live until the next call. NULL: none. */
    size_t (*more_headers)(void *ctx, struct http_header *out, size_t room);
    /* A 2xx came. False ends the request; set *err. NULL: none. */
    bool (*on_head)(void *ctx, const struct http_response *r, struct err *err);
    /* Its body, as http_transfer's on_body(). NULL: kept, up to keep_max. */
    bool (*on_body)(void *ctx, const uint8_t *data, size_t len);
    /* The 2xx ended well. False: it was not all; try again. NULL: it was. */
    bool (*is_whole)(void *ctx);
    /* Exactly once, in a later turn. */
    void (*done)(void *ctx, const struct err *err, const struct s3_answer *a);
    void *ctx;
};

/* ERR_ARGUMENT, ERR_NOMEM, ERR_AGAIN (4,096 wait): done() is never called. */
enum err_code s3_request_start(struct s3_client *c,
                               const struct s3_request_opts *opts,
                               struct s3_request **out, struct err *err);

/* After on_body() said false. */
void s3_request_resume(struct s3_request *r);

/* done() gets ERR_CANCELLED in a later turn. */
void s3_request_cancel(struct s3_request *r);

/* A try that is on its way comes to its end, and is the last; else as
 * s3_request_cancel(). For what must not be done without our knowing. */
void s3_request_last_try(struct s3_request *r);

/* Last-Modified, or 0. */
uint64_t s3_request_modified(const struct http_response *r);

#endif
