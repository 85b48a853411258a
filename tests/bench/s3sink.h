/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/bench/s3sink.h - what the files of the sink share.
 *
 * The sink is an S3 server that costs next to nothing: it believes everybody,
 * hashes nothing, and receives bodies straight into the memory from which they
 * are sent again. One thread.
 */
#ifndef CAIRN_TESTS_BENCH_S3SINK_H
#define CAIRN_TESTS_BENCH_S3SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- s3sink_stock.c: objects in memory ---- */

/* A run of bytes of an object: a part, or a whole body. */
struct piece {
    struct piece *next;
    uint8_t *data; /* NULL: nothing is kept, zeros are sent */
    size_t len, room;
};

struct object {
    char *key; /* "bucket/key" */
    struct piece *pieces;
    uint64_t bytes;
    uint64_t modified_s;
    uint64_t number; /* its ETag */
    unsigned holders;
};

struct upload {
    struct upload *next;
    char *key;
    uint64_t id;
    uint64_t begun_s;
    struct piece **parts; /* by number - 1 */
    unsigned room;
};

struct stock {
    struct object **objects; /* in order of key */
    size_t count, room;
    struct upload *uploads;
    uint64_t next_number;
    struct piece *idle; /* for re-use: fresh memory costs page faults */
    bool keep;
    int folder; /* files are made here; -1: anonymous memory */
};

/* Room for a body; NULL: out of memory. */
struct piece *stock_piece(struct stock *s, size_t len);
void stock_give(struct stock *s, struct piece *pieces);
/* Have so much memory touched and ready. */
bool stock_warm(struct stock *s, uint64_t bytes);

struct object *stock_find(const struct stock *s, const char *key);
/* The first object at or behind a key. */
size_t stock_place(const struct stock *s, const char *key);
/* Takes the pieces; replaces. NULL: out of memory. */
struct object *stock_put(struct stock *s, const char *key,
                         struct piece *pieces);
void stock_remove(struct stock *s, const char *key);
struct object *stock_hold(struct object *o);
void stock_drop(struct stock *s, struct object *o);

struct upload *stock_begin(struct stock *s, const char *key);
struct upload *stock_upload(const struct stock *s, const char *key,
                            const char *id);
/* Takes the piece. */
bool stock_part(struct stock *s, struct upload *up, unsigned number,
                struct piece *piece);
/* The parts become an object; NULL: one is missing. */
struct object *stock_complete(struct stock *s, struct upload *up);
void stock_abort(struct stock *s, struct upload *up);

/* ---- s3sink_answer.c: requests and answers ---- */

enum kind {
    KIND_PUT,
    KIND_GET,
    KIND_HEAD,
    KIND_DELETE,
    KIND_LIST,
    KIND_CREATE,
    KIND_PART,
    KIND_COMPLETE,
    KIND_ABORT,
    KIND_OTHER,
    KIND_COUNT
};

struct counts {
    uint64_t requests[KIND_COUNT];
    uint64_t received, sent; /* of bodies */
};

#define HEAD_MAX 16384

struct request {
    enum kind kind;
    char key[2048]; /* "bucket/key", decoded */
    char query[4096];
    uint64_t length;
    bool expects; /* 100-continue */
    bool if_absent, has_range, close;
    char range[64];
    unsigned part;
    char upload_id[32];
};

/* The head, NUL-terminated. False: it cannot be understood. */
bool answer_parse(const char *head, struct request *r);

/* What goes back: a head (and small body) in text, then bytes of an object. */
struct answer {
    char *text; /* to free() */
    size_t len;
    struct object *object; /* held, or NULL */
    uint64_t from, bytes;  /* of it */
};

/* body: of a PUT or part; taken. False: out of memory. */
bool answer_make(struct stock *s, struct counts *c, const struct request *r,
                 struct piece *body, struct answer *a);

#endif
