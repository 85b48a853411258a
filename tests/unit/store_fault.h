/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/store_fault.h - an object store in memory that fails on demand.
 *
 * A bucket holds objects and unfinished uploads; several stores may stand on
 * one bucket (two gateways, two regions), all on one thread. A rule says what
 * happens to the n-th operation of a kind. Its clock is that of the loop plus
 * an offset. For tests only.
 */
#ifndef CAIRN_TESTS_UNIT_STORE_FAULT_H
#define CAIRN_TESTS_UNIT_STORE_FAULT_H

#include "store/store.h"

enum store_fault_kind {
    FAULT_ANY,
    FAULT_PUT,
    FAULT_GET,
    FAULT_HEAD,
    FAULT_REMOVE,
    FAULT_LIST,
    FAULT_RETAIN,
    FAULT_CREATE,
    FAULT_PART,
    FAULT_COMPLETE,
    FAULT_ABORT,
    FAULT_LIST_UPLOADS,
    FAULT_ABORT_BY_ID,
    FAULT_KINDS
};

enum store_fault_action {
    FAULT_FAIL,  /* nothing is done; done() gets `code` */
    FAULT_LOSE,  /* it is done, and done() gets `code` all the same */
    FAULT_BREAK, /* GET: half of the bytes, then `code`. LIST: half of the
                    entries, then `code` */
    FAULT_FLIP,  /* GET: the byte at `offset` of what is read is changed */
    FAULT_CUT,   /* GET: ends well after `offset` bytes */
    FAULT_HIDE,  /* LIST: what was written in the last `ms` is not shown */
    FAULT_DELAY, /* begins `ms` later */
    FAULT_HOLD,  /* begins when store_fault_release() is called */
};

struct store_fault_rule {
    enum store_fault_kind kind;
    const char *prefix; /* borrowed; names (of a listing: its prefix) that
                           begin so. NULL: all */
    unsigned nth;       /* of those that match, from 1; 0: each of them */
    enum store_fault_action action;
    enum err_code code; /* ERR_OK is taken as ERR_UNREACHABLE */
    uint64_t offset;
    uint64_t ms;
};

struct store_fault_bucket;

/* NULL: out of memory. A bucket outlives its stores. */
struct store_fault_bucket *store_fault_bucket_new(void);
void store_fault_bucket_free(struct store_fault_bucket *b);

/* All traits but the locks are true; change s->traits before use. Locks that a
 * trait denies are ignored silently, as some servers do. store_free() ends it.
 */
struct store *store_fault_new(struct loop *loop, struct store_fault_bucket *b);

/* Rules hold for one store. All that match an operation count it; the first
 * whose turn it is acts. At most 32. */
void store_fault_add(struct store *s, const struct store_fault_rule *rule);
void store_fault_clear(struct store *s);
/* Let go what FAULT_HOLD holds, and what has begun and would be held next;
 * returns how many were. */
size_t store_fault_release(struct store *s);
size_t store_fault_held(const struct store *s);

/* GETs deliver pieces of at most this (default 256 KiB). */
void store_fault_piece(struct store *s, size_t bytes);
/* The store's clock is this much ahead of the loop's. */
void store_fault_clock(struct store *s, int64_t ms);
/* Operations begun so far. */
uint64_t store_fault_count(const struct store *s, enum store_fault_kind kind);

/* Straight at the bucket, as somebody with other credentials would. */
const uint8_t *store_fault_peek(const struct store_fault_bucket *b,
                                const char *name, size_t *len);
bool store_fault_poke(struct store_fault_bucket *b, const char *name,
                      const void *data, size_t len, uint64_t modified_ms);
bool store_fault_drop(struct store_fault_bucket *b, const char *name);
/* XOR one byte. False: no such object or byte. */
bool store_fault_damage(struct store_fault_bucket *b, const char *name,
                        uint64_t offset, uint8_t mask);
bool store_fault_rename(struct store_fault_bucket *b, const char *from,
                        const char *to);
/* The i-th object in order of names, or NULL. */
const char *store_fault_name(const struct store_fault_bucket *b, size_t i);
size_t store_fault_objects(const struct store_fault_bucket *b);
size_t store_fault_uploads(const struct store_fault_bucket *b);
/* 0: not locked, or no such object. */
uint64_t store_fault_retained_ms(const struct store_fault_bucket *b,
                                 const char *name);

#endif
