/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_fault.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim_mem.h"

#define EVERYWHERE \
    " name pool host vm vdi sr method skip count probability id hits matches "

/* Names and their arguments. */
static const struct {
    const char *name, *arguments;
} known[] = {
    {"rpc_error", " error at_once "},
    {"rpc_delay", " ms "},
    {"rpc_close", " executed "},
    {"rpc_500", " "},
    {"rpc_garbage", " "},
    {"host_is_slave", " address "},
    {"host_still_booting", " "},
    {"session_invalid", " "},
    {"too_many_pending_tasks", " "},
    {"other_operation_in_progress", " "},
    {"vdi_in_use", " "},
    {"dom0_vbd", " "},
    {"snapshot_error", " error disk "},
    {"sr_full", " "},
    {"connection_refuse", " "},
    {"connection_reset", " after "},
    {"tls_stall", " "},
    {"http_431", " "},
    {"event_error", " error "},
    {"event_silent", " ms "},
    {"event_token", " "},
    {"task_stuck", " "},
    {"task_delay", " ms "},
    {"task_gone", " "},
    {"task_fail", " error "},
    {"export_401", " "},
    {"export_403", " "},
    {"export_redirect", " to url "},
    {"export_close", " "},
    {"export_500", " error "},
    {"export_500_body", " error "},
    {"export_first_byte", " ms "},
    {"export_cut", " after task ms reset "},
    {"export_append_500", " after error "},
    {"export_stall", " after ms "},
    {"export_slow", " rate "},
    {"export_impatient", " ms "},
    {"export_keepalive", " every "},
    {"export_first_small", " bytes "},
    {"export_chunk", " bytes "},
    {"export_sha1", " "},
    {"export_all_blocks", " "},
    {"export_bad_checksum", " block "},
    {"export_bad_data", " block "},
    {"export_no_checksum", " block "},
    {"export_drop_block", " block "},
    {"export_repeat_block", " block "},
    {"export_swap_disks", " "},
    {"export_no_end", " "},
    {"export_tail", " bytes "},
    {"export_bad_header", " block "},
    {"export_ova", " text "},
    {"export_task_fail", " error "},
    {"import_401", " "},
    {"import_403", " "},
    {"import_redirect", " to url "},
    {"import_400", " "},
    {"import_cut", " after reset "},
    {"import_fail", " after error "},
    {"import_stall", " after ms "},
    {"import_slow", " rate "},
    {"import_vanish", " after "},
    {"import_bad_data", " "},
};

struct fault {
    uint64_t id;
    struct json *args;
    const char *name;
    int64_t skip, left; /* left < 0: no end */
    double probability;
    uint64_t matches, hits;
    struct fault *next;
};

struct sim_faults {
    pthread_mutex_t lock;
    struct fault *first;
    uint64_t next_id;
    uint64_t dice; /* xorshift: the same run throws the same */
};

struct sim_faults *sim_fault_new(void)
{
    struct sim_faults *f = sim_mem_new(sizeof(*f));

    pthread_mutex_init(&f->lock, NULL);
    f->next_id = 1;
    f->dice = 0x9e3779b97f4a7c15u;
    return f;
}

void sim_fault_free(struct sim_faults *f)
{
    if (!f)
        return;
    sim_fault_clear(f, 0, NULL);
    pthread_mutex_destroy(&f->lock);
    free(f);
}

static bool word_in(const char *words, const char *word)
{
    size_t n = strlen(word);

    for (const char *p = strstr(words, word); p; p = strstr(p + 1, word))
        if (p[-1] == ' ' && p[n] == ' ')
            return true;
    return false;
}

static enum err_code check(const struct json *fault, const char **name,
                           struct err *err)
{
    const char *wanted = json_text(json_get(fault, "name"), "");
    const char *arguments = NULL;

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (strcmp(known[i].name, wanted) == 0) {
            *name = known[i].name;
            arguments = known[i].arguments;
        }
    }
    if (!arguments)
        return err_set(err, ERR_ARGUMENT, 0, "no such fault: '%s'", wanted);
    for (size_t i = 0; i < json_count(fault); i++) {
        const struct json *value;
        const char *key = json_key_at(fault, i, &value);

        if (!word_in(EVERYWHERE, key) && !word_in(arguments, key))
            return err_set(err, ERR_ARGUMENT, 0, "%s takes no '%s'", wanted,
                           key);
    }
    return ERR_OK;
}

enum err_code sim_fault_set(struct sim_faults *f, const struct json *fault,
                            uint64_t *id, struct err *err)
{
    const char *name = NULL;
    struct fault *n, **link;
    int64_t count;

    if (check(fault, &name, err) != ERR_OK)
        return err->code;
    n = sim_mem_new(sizeof(*n));
    n->args = json_clone(fault);
    n->name = name;
    n->skip = json_int(json_get(fault, "skip"), 0);
    count = json_int(json_get(fault, "count"), 1);
    n->left = count > 0 ? count : -1;
    n->probability = json_double(json_get(fault, "probability"), 1);
    pthread_mutex_lock(&f->lock);
    n->id = f->next_id++;
    for (link = &f->first; *link;)
        link = &(*link)->next;
    *link = n;
    *id = n->id;
    pthread_mutex_unlock(&f->lock);
    return ERR_OK;
}

size_t sim_fault_clear(struct sim_faults *f, uint64_t id, const char *name)
{
    struct fault **link = &f->first;
    size_t n = 0;

    pthread_mutex_lock(&f->lock);
    while (*link) {
        struct fault *one = *link;

        if ((id && one->id != id) || (name && strcmp(one->name, name) != 0)) {
            link = &one->next;
            continue;
        }
        *link = one->next;
        json_free(one->args);
        free(one);
        n++;
    }
    pthread_mutex_unlock(&f->lock);
    return n;
}

struct json *sim_fault_list(struct sim_faults *f)
{
    struct json *list = json_new_array();

    pthread_mutex_lock(&f->lock);
    for (struct fault *one = f->first; one; one = one->next) {
        struct json *j = json_clone(one->args);

        json_set_int(j, "id", (int64_t)one->id);
        json_set_int(j, "matches", (int64_t)one->matches);
        json_set_int(j, "hits", (int64_t)one->hits);
        json_append(list, j);
    }
    pthread_mutex_unlock(&f->lock);
    return list;
}

/* A filter that the fault does not have lets everything through. */
static bool passes(const struct json *args, const char *key,
                   const char *const *names, size_t n)
{
    const char *wanted = json_text(json_get(args, key), NULL);

    if (!wanted)
        return true;
    for (size_t i = 0; i < n; i++)
        if (names[i] && strcmp(names[i], wanted) == 0)
            return true;
    return false;
}

static bool method_passes(const struct json *args, const struct sim_where *w)
{
    const char *wanted = json_text(json_get(args, "method"), NULL);

    if (!wanted)
        return !w->named;
    if (strncmp(wanted, "Async.", 6) == 0)
        wanted += 6;
    return w->method && strcmp(w->method, wanted) == 0;
}

static bool strikes(struct sim_faults *f, struct fault *one,
                    const struct sim_where *w)
{
    const struct json *a = one->args;

    if (w->at_once != json_bool(json_get(a, "at_once"), false))
        return false;
    if (w->disk != json_int(json_get(a, "disk"), 0))
        return false;
    if (one->left == 0 || !passes(a, "pool", w->pool, 2) ||
        !passes(a, "host", w->host, 3) || !passes(a, "vm", w->vm, 6) ||
        !passes(a, "vdi", w->vdi, 3) || !passes(a, "sr", w->sr, 3) ||
        !method_passes(a, w))
        return false;
    one->matches++;
    if (one->skip > 0) {
        one->skip--;
        return false;
    }
    f->dice ^= f->dice << 13;
    f->dice ^= f->dice >> 7;
    f->dice ^= f->dice << 17;
    if ((double)(f->dice >> 11) / 9007199254740992.0 >= one->probability)
        return false;
    if (one->left > 0)
        one->left--;
    one->hits++;
    return true;
}

bool sim_fault_hit(struct sim_faults *f, const char *name,
                   const struct sim_where *where, struct sim_hit *out)
{
    bool hit = false;

    pthread_mutex_lock(&f->lock);
    for (struct fault *one = f->first; one && !hit; one = one->next) {
        if (strcmp(one->name, name) != 0)
            continue;
        hit = strikes(f, one, where);
        if (hit && out)
            out->fault = json_clone(one->args);
    }
    pthread_mutex_unlock(&f->lock);
    return hit;
}

void sim_fault_release(struct sim_hit *hit)
{
    json_free(hit->fault);
    hit->fault = NULL;
}

/* Those that answer before there is anything to plan are asked one by one. */
static bool is_early(const char *name)
{
    static const char *const early[] = {"_401", "_403", "_redirect"};
    size_t len = strlen(name);

    for (size_t i = 0; i < sizeof(early) / sizeof(early[0]); i++)
        if (len > strlen(early[i]) &&
            strcmp(name + len - strlen(early[i]), early[i]) == 0)
            return true;
    return false;
}

void sim_fault_plan(struct sim_faults *f, const char *prefix,
                    const struct sim_where *where, struct sim_plan *out)
{
    out->count = 0;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        struct sim_hit hit = {NULL};

        if (strncmp(known[i].name, prefix, strlen(prefix)) != 0 ||
            is_early(known[i].name) || out->count == SIM_PLAN_MAX ||
            !sim_fault_hit(f, known[i].name, where, &hit))
            continue;
        out->at[out->count].name = known[i].name;
        out->at[out->count++].hit = hit;
    }
}

const struct sim_hit *sim_fault_planned(const struct sim_plan *plan,
                                        const char *name)
{
    for (size_t i = 0; i < plan->count; i++)
        if (strcmp(plan->at[i].name, name) == 0)
            return &plan->at[i].hit;
    return NULL;
}

void sim_fault_plan_release(struct sim_plan *plan)
{
    for (size_t i = 0; i < plan->count; i++)
        sim_fault_release(&plan->at[i].hit);
    plan->count = 0;
}

int64_t sim_fault_int(const struct sim_hit *hit, const char *key,
                      int64_t otherwise)
{
    return json_int(json_get(hit->fault, key), otherwise);
}

bool sim_fault_bool(const struct sim_hit *hit, const char *key)
{
    return json_bool(json_get(hit->fault, key), false);
}

const char *sim_fault_text(const struct sim_hit *hit, const char *key,
                           const char *otherwise)
{
    return json_text(json_get(hit->fault, key), otherwise);
}

struct sim_value *sim_fault_error(const struct sim_hit *hit, const char *code)
{
    const struct json *list = json_get(hit->fault, "error");
    struct sim_value *set = sim_value_set();

    for (size_t i = 0; i < json_count(list); i++)
        sim_value_add_text(set, json_text(json_at(list, i), ""));
    if (set->count == 0)
        sim_value_add_text(set, code);
    return set;
}
