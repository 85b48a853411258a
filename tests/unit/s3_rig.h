/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/s3_rig.h - an S3 client against a server that says what a test
 * tells it to, answer by answer, over whatever connections come.
 */
#ifndef CAIRN_TESTS_UNIT_S3_RIG_H
#define CAIRN_TESTS_UNIT_S3_RIG_H

#include <pthread.h>

#include "loop/timer.h"
#include "net_peer.h"
#include "s3/s3_get.h"
#include "s3/s3_list.h"
#include "s3/s3_object.h"
#include "s3/s3_upload.h"

#define S3_RIG_REQUESTS 280 /* that are kept; further ones are answered */

#define S3_RIG_EMPTY "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
/* An error with its length given by closing the connection. */
#define S3_RIG_ERROR(status, code, more)                                       \
    "HTTP/1.1 " status " X\r\nConnection: close\r\n"                           \
    "Content-Type: application/xml\r\n\r\n"                                    \
    "<?xml version=\"1.0\"?><Error><Code>" code "</Code>" more "</Error>"

/* One answer. text NULL: the connection is reset once the request is read. */
struct s3_rig_answer {
    const char *text;  /* of the wire, head and body */
    const char *body;  /* or NULL: goes behind, with its Content-Length; text
                          is then the head without its empty line */
    size_t cut;        /* not 0: reset after so many bytes of it */
    unsigned delay_ms; /* before it */
    bool forever;      /* never: silent until the client goes */
};

struct s3_rig {
    struct loop *loop;
    struct http_client *http;
    struct seal_suite *suite;
    struct s3_client *client;
    struct peer *peer;
    /* the script, and what came; guarded by lock */
    pthread_mutex_t lock;
    const struct s3_rig_answer *answers;
    unsigned count, next;
    char heads[S3_RIG_REQUESTS][4096];
    char bodies[S3_RIG_REQUESTS][4096]; /* their beginnings */
    uint64_t body_bytes[S3_RIG_REQUESTS];
    /* the outcome */
    struct err err;
    struct s3_object_info info;
    unsigned done;
    struct s3_upload *upload;
    struct buf bytes;
    unsigned refuse_each; /* on_data says no to each n-th piece, once */
    unsigned calls;
    bool refused;
    struct s3_get *get;
    struct timer timer;
};

/* Ready to be changed before s3_rig_open(). */
struct s3_client_opts s3_rig_opts(void);

/* A client as in opts (endpoint, suite and credentials are set here), and a
 * server with this script; it is an error to ask for more than it has. */
void s3_rig_open(struct s3_rig *r, const struct s3_client_opts *opts,
                 const struct s3_rig_answer *answers, unsigned count);
/* The same with s3_rig_opts(). */
void s3_rig_open_usual(struct s3_rig *r, const struct s3_rig_answer *answers,
                       unsigned count);
/* Fails the test when answers are left over. */
void s3_rig_close(struct s3_rig *r);

/* Run the loop until done() was called `count` times. */
void s3_rig_wait(struct s3_rig *r, unsigned count);
/* Run it for a while. */
void s3_rig_run_ms(struct s3_rig *r, unsigned ms);
/* Requests that came so far. */
unsigned s3_rig_seen(struct s3_rig *r);
/* The value of a header of the i-th request, or NULL; static memory. */
const char *s3_rig_header(struct s3_rig *r, unsigned i, const char *name);
/* Whether the i-th request's head begins so. */
bool s3_rig_asked(struct s3_rig *r, unsigned i, const char *begin);

/* Callbacks with a struct s3_rig as ctx. */
void s3_rig_on_done(void *ctx, const struct err *err,
                    const struct s3_object_info *info);
void s3_rig_on_created(void *ctx, const struct err *err, struct s3_upload *up);
bool s3_rig_on_data(void *ctx, const uint8_t *data, size_t len);
bool s3_rig_on_object(void *ctx, const struct s3_xml_object *o);

/* Whole operations, to their end. */
enum err_code s3_rig_head(struct s3_rig *r, const char *key);
enum err_code s3_rig_put(struct s3_rig *r, const char *key, const char *text,
                         const struct s3_object_write *write);
enum err_code s3_rig_get(struct s3_rig *r, const char *key, uint64_t offset,
                         uint64_t length, uint64_t from_end);
enum err_code s3_rig_list(struct s3_rig *r, const char *prefix);
enum err_code s3_rig_create(struct s3_rig *r, const char *key);
enum err_code s3_rig_part(struct s3_rig *r, unsigned number, const char *text);
enum err_code s3_rig_complete(struct s3_rig *r);
enum err_code s3_rig_abort(struct s3_rig *r);

#endif
