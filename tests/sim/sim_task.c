/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_task.h"

#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim_mem.h"
#include "tests/sim/sim_xmlrpc.h"

#define TASKS_KEPT 200

static bool pending(const struct sim_object *task)
{
    const char *status = sim_db_str(task, "status");

    return strcmp(status, "pending") == 0 || strcmp(status, "cancelling") == 0;
}

/* XAPI forgets completed tasks when there are many. */
static void task_collect(struct sim_pool *pool)
{
    struct sim_object *o;
    size_t n = sim_db_count(pool->db, "task");

    for (size_t i = 0; n > TASKS_KEPT && (o = sim_db_at(pool->db, "task", i));
         i++) {
        if (!pending(o)) {
            sim_db_destroy(pool->db, o);
            return;
        }
    }
}

struct sim_object *sim_task_new(struct sim_pool *pool, const char *label,
                                const char *session, const char *host)
{
    struct sim_object *t;

    task_collect(pool);
    t = sim_db_create(pool->db, "task", NULL, NULL);
    sim_db_set_text(pool->db, t, "name_label", label);
    sim_db_set(pool->db, t, "created", sim_value_now());
    sim_db_set_text(pool->db, t, "session", session);
    sim_db_set_text(pool->db, t, "resident_on", host);
    sim_db_set(pool->db, t, "allowed_operations",
               sim_value_texts("destroy", NULL));
    return t;
}

void sim_task_set_progress(struct sim_pool *pool, const char *task,
                           double progress)
{
    struct sim_object *t = sim_db_find(pool->db, "task", task);

    if (t && pending(t))
        sim_db_set(pool->db, t, "progress", sim_value_real(progress));
}

bool sim_task_cancelled(struct sim_pool *pool, const char *task)
{
    struct sim_object *t = sim_db_find(pool->db, "task", task);
    const struct sim_value *ops;

    if (!t)
        return false;
    ops = sim_db_get(t, "current_operations");
    for (size_t i = 0; i < ops->count; i++)
        if (strcmp(ops->items[i]->text, "cancel") == 0)
            return true;
    return strcmp(sim_db_str(t, "status"), "cancelled") == 0;
}

static void task_finish(struct sim_pool *pool, struct sim_object *t,
                        const struct sim_value *result,
                        const struct sim_value *failure)
{
    char *text;

    if (!pending(t))
        return;
    if (failure) {
        sim_db_set(pool->db, t, "error_info", sim_value_copy(failure));
    } else if (result && !(result->kind == SIM_TEXT && !*result->text)) {
        text = sim_xmlrpc_fragment(result);
        sim_db_set_text(pool->db, t, "result", text);
        free(text);
    }
    sim_db_set(pool->db, t, "progress", sim_value_real(1));
    sim_db_set(pool->db, t, "finished", sim_value_now());
    sim_db_set_text(pool->db, t, "status",
                    !failure ? "success"
                    : strcmp(failure->items[0]->text, "TASK_CANCELLED") == 0
                        ? "cancelled"
                        : "failure");
}

void sim_task_end_plain(struct sim_pool *pool, const char *task,
                        struct sim_value *result, struct sim_value *failure)
{
    struct sim_object *t;

    sim_db_lock(pool->db);
    t = sim_db_find(pool->db, "task", task);
    if (t)
        task_finish(pool, t, result, failure);
    sim_db_unlock(pool->db);
    sim_value_free(result);
    sim_value_free(failure);
}

void sim_task_end(struct sim_host *host, const char *task, const char *method,
                  const char *about, struct sim_value *result,
                  struct sim_value *failure)
{
    struct sim_pool *pool = host->pool;
    struct sim_faults *faults = pool->sim->faults;
    struct sim_hit fail = {NULL}, delay = {NULL};
    struct sim_where where;
    struct sim_object *t;
    bool stuck, gone;

    sim_db_lock(pool->db);
    sim_pool_where(pool, host, sim_db_find(pool->db, NULL, about), &where);
    where.method = method;
    stuck = sim_fault_hit(faults, "task_stuck", &where, NULL);
    gone = sim_fault_hit(faults, "task_gone", &where, NULL);
    sim_fault_hit(faults, "task_delay", &where, &delay);
    sim_fault_hit(faults, "task_fail", &where, &fail);
    t = sim_db_find(pool->db, "task", task);
    if (gone && t)
        sim_db_destroy(pool->db, t);
    sim_db_unlock(pool->db);
    if (fail.fault) {
        sim_value_free(failure);
        failure = sim_fault_error(&fail, "INTERNAL_ERROR");
    }
    if (delay.fault)
        sim_pool_sleep((uint64_t)sim_fault_int(&delay, "ms", 0));
    if (stuck) {
        sim_value_free(result);
        sim_value_free(failure);
    } else {
        sim_task_end_plain(pool, task, result, failure);
    }
    sim_fault_release(&fail);
    sim_fault_release(&delay);
}

void sim_task_forget_work(struct sim_pool *pool)
{
    static const char *const classes[] = {"VM", "VDI"};
    struct sim_object *o;

    for (size_t c = 0; c < sizeof(classes) / sizeof(classes[0]); c++)
        for (size_t i = 0; (o = sim_db_at(pool->db, classes[c], i)); i++)
            if (sim_db_get(o, "current_operations")->count > 0)
                sim_db_set(pool->db, o, "current_operations", sim_value_map());
}

void sim_task_kill_all(struct sim_pool *pool)
{
    struct sim_object *t;

    for (size_t i = 0; (t = sim_db_at(pool->db, "task", i));) {
        if (pending(t))
            sim_db_destroy(pool->db, t);
        else
            i++;
    }
}

/* ---- calls ---- */

static struct sim_value *task_create(struct sim_call *c)
{
    struct sim_object *t =
        sim_task_new(c->pool, sim_call_text(c, 0), c->session, c->host->ref);

    sim_db_set_text(c->db, t, "name_description", sim_call_text(c, 1));
    return sim_value_text(t->ref);
}

static struct sim_value *task_destroy(struct sim_call *c)
{
    struct sim_object *t = sim_call_object(c, 0, "task");

    if (!t)
        return NULL;
    if (pending(t))
        sim_db_map_put(c->db, t, "current_operations", c->session, "destroy");
    else
        sim_db_destroy(c->db, t);
    return sim_call_void();
}

static struct sim_value *task_cancel(struct sim_call *c)
{
    struct sim_object *t = sim_call_object(c, 0, "task");

    if (!t)
        return NULL;
    if (pending(t) &&
        sim_value_has(sim_db_get(t, "allowed_operations"), "cancel"))
        sim_db_map_put(c->db, t, "current_operations", c->session, "cancel");
    return sim_call_void();
}

static struct sim_value *task_set_status(struct sim_call *c)
{
    static const char *const known[] = {"pending", "success", "failure",
                                        "cancelling", "cancelled"};
    struct sim_object *t = sim_call_object(c, 0, "task");
    const char *status = sim_call_text(c, 1);

    if (!t)
        return NULL;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (strcmp(known[i], status) != 0)
            continue;
        if (pending(t)) {
            sim_db_set_text(c->db, t, "status", status);
            if (!pending(t))
                sim_db_set(c->db, t, "finished", sim_value_now());
        }
        return sim_call_void();
    }
    return sim_call_fail(c, "FIELD_TYPE_ERROR", "status", NULL);
}

static struct sim_value *task_set_progress(struct sim_call *c)
{
    struct sim_object *t = sim_call_object(c, 0, "task");
    double progress;

    if (!t)
        return NULL;
    if (!sim_value_to_real(sim_value_at(c->args, 1), &progress))
        return sim_call_fail(c, "FIELD_TYPE_ERROR", "progress", NULL);
    sim_task_set_progress(c->pool, t->ref, progress);
    return sim_call_void();
}

static struct sim_value *task_set_error_info(struct sim_call *c)
{
    struct sim_object *t = sim_call_object(c, 0, "task");
    struct sim_value *v = sim_value_cast(sim_value_at(c->args, 1), SIM_SET);

    if (!t || !v) {
        sim_value_free(v);
        return t ? sim_call_fail(c, "FIELD_TYPE_ERROR", "error_info", NULL)
                 : NULL;
    }
    sim_db_set(c->db, t, "error_info", v);
    return sim_call_void();
}

const struct sim_method sim_task_methods[] = {
    {"task.create", task_create, SIM_READ_ONLY, 2, 2},
    {"task.destroy", task_destroy, SIM_READ_ONLY, 1, 1},
    {"task.cancel", task_cancel, SIM_READ_ONLY, 1, 1},
    {"task.set_status", task_set_status, SIM_READ_ONLY, 2, 2},
    {"task.set_progress", task_set_progress, SIM_READ_ONLY, 2, 2},
    {"task.set_error_info", task_set_error_info, SIM_READ_ONLY, 2, 2},
    {NULL, NULL, SIM_READ_ONLY, 0, 0},
};
