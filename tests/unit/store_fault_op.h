/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/store_fault_op.h - what the files of store_fault share.
 */
#ifndef CAIRN_TESTS_UNIT_STORE_FAULT_OP_H
#define CAIRN_TESTS_UNIT_STORE_FAULT_OP_H

#include <string.h>

#include "base/clock.h"
#include "loop/timer.h"
#include "store_fault.h"

#define RULES_MAX 32
#define PARTS_MAX 64

struct object {
    char name[STORE_NAME_MAX];
    uint8_t *data;
    size_t len;
    uint64_t modified_ms;
    uint64_t retain_until_ms;
};

struct fault_upload {
    struct store_upload base;
    struct fault_upload *next; /* of the bucket */
    char id[32];
    struct object object; /* what it will be */
    struct object parts[PARTS_MAX];
    uint64_t begun_ms;
};

struct store_fault_bucket {
    struct object *objects; /* in order of name */
    size_t count, room;
    struct fault_upload *uploads;
    unsigned next_id;
};

struct rule {
    struct store_fault_rule is;
    unsigned seen;
};

struct fault_op;

struct fault_store {
    struct store base;
    struct store_fault_bucket *bucket;
    struct rule rules[RULES_MAX];
    size_t rule_count;
    struct fault_op *held;
    size_t piece_bytes, live, releases;
    int64_t ahead_ms;
    uint64_t counts[FAULT_KINDS];
};

struct fault_op {
    struct store_op base;
    struct fault_op *next; /* of the held */
    enum store_fault_kind kind;
    struct timer timer;
    const struct store_fault_rule *rule; /* that acts on it, or NULL */
    struct store_fault_rule rule_copy;
    bool held, cancelled, paused, in_callback;
    size_t releases; /* of the store, when it began */
    char name[STORE_NAME_MAX]; /* or the prefix */
    char after[STORE_NAME_MAX];
    struct slice *body;
    size_t slices;
    struct store_write write;
    struct store_range range;
    struct fault_upload *up;
    unsigned number;
    uint8_t *data; /* of a get: a copy, so that a removal does not hurt */
    size_t len, at;
    struct err err;
    struct store_info info;
    void (*on_info)(void *ctx, const struct store_info *info);
    bool (*on_data)(void *ctx, const uint8_t *data, size_t len);
    bool (*on_entry)(void *ctx, const struct store_entry *entry);
    bool (*on_upload)(void *ctx, const struct store_upload_entry *entry);
    void (*created)(void *ctx, const struct err *err, struct store_upload *up);
    store_done_fn *done;
    void *ctx;
};

static inline struct fault_store *store_fault_of(const struct fault_op *op)
{
    return (struct fault_store *)op->base.store;
}

static inline uint64_t store_fault_now(const struct fault_store *fs)
{
    return clock_wall_ms(loop_clock(fs->base.loop)) + (uint64_t)fs->ahead_ms;
}

static inline bool store_fault_begins(const char *text, const char *with)
{
    return !with || strncmp(text, with, strlen(with)) == 0;
}

struct object *store_fault_find(const struct store_fault_bucket *b,
                                const char *name);
/* Takes o->data; replaces what has that name. False: out of memory. */
bool store_fault_insert(struct store_fault_bucket *b, const struct object *o);
/* Where the upload hangs; *result is NULL when there is none. */
struct fault_upload **store_fault_slot(struct store_fault_bucket *b,
                                       const char *id);
void store_fault_upload_free(struct fault_upload *up);

static inline bool store_fault_acts(const struct fault_op *op,
                                    enum store_fault_action action)
{
    return op->rule && op->rule->action == action;
}

enum err_code store_fault_code(const struct fault_op *op);
/* Keep the first failure. */
void store_fault_fail(struct fault_op *op, enum err_code code, const char *why);
void store_fault_finish(struct fault_op *op);

/* Do what the operation is for, and finish it. */
void store_fault_run(struct fault_op *op);
/* A get goes on giving. */
void store_fault_get_turn(struct timer *t);

#endif
