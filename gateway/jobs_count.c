/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/jobs_count.h"

#include <stdlib.h>
#include <string.h>

struct jobs_counter {
    struct jobs_counter *next;
    uint64_t running;
    uint64_t at; /* when it had its last turn; 0: never */
    char name[];
};

struct jobs_count {
    struct jobs_counter *first;
    uint64_t turns;
};

struct jobs_count *jobs_count_new(void)
{
    return calloc(1, sizeof(struct jobs_count));
}

void jobs_count_free(struct jobs_count *c)
{
    while (c && c->first) {
        struct jobs_counter *one = c->first;

        c->first = one->next;
        free(one);
    }
    free(c);
}

struct jobs_counter *jobs_count_get(struct jobs_count *c, const char *name)
{
    size_t size = strlen(name) + 1;
    struct jobs_counter *one = c->first;

    while (one && strcmp(one->name, name) != 0)
        one = one->next;
    if (one)
        return one;
    one = calloc(1, sizeof(*one) + size);
    if (!one)
        return NULL;
    memcpy(one->name, name, size);
    one->next = c->first;
    c->first = one;
    return one;
}

static uint64_t running(const struct jobs_counter *one)
{
    return one ? one->running : 0;
}

bool jobs_count_has_room(const struct jobs_count_of *of,
                         const struct jobs_count_limits *limits)
{
    return running(of->tenant) < limits->tenant &&
           running(of->pool) < limits->pool &&
           running(of->store) < limits->store;
}

bool jobs_count_is_before(const struct jobs_count_of *a,
                          const struct jobs_count_of *b)
{
    if (running(a->tenant) != running(b->tenant))
        return running(a->tenant) < running(b->tenant);
    return (a->tenant ? a->tenant->at : 0) < (b->tenant ? b->tenant->at : 0);
}

static void add(struct jobs_counter *one, int n)
{
    if (one)
        one->running += (uint64_t)n;
}

void jobs_count_start(struct jobs_count *c, const struct jobs_count_of *of)
{
    add(of->tenant, 1);
    add(of->pool, 1);
    add(of->store, 1);
    c->turns++;
    if (of->tenant)
        of->tenant->at = c->turns;
}

void jobs_count_end(const struct jobs_count_of *of)
{
    add(of->tenant, -1);
    add(of->pool, -1);
    add(of->store, -1);
}

bool jobs_count_may_wait(unsigned all, unsigned own, unsigned max)
{
    return all < max && own < max - all;
}
