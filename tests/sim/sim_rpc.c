/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_rpc.h"

#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim_event.h"
#include "tests/sim/sim_generic.h"
#include "tests/sim/sim_jsonrpc.h"
#include "tests/sim/sim_mem.h"
#include "tests/sim/sim_misc.h"
#include "tests/sim/sim_session.h"
#include "tests/sim/sim_snapshot.h"
#include "tests/sim/sim_task.h"
#include "tests/sim/sim_vbd.h"
#include "tests/sim/sim_vdi.h"
#include "tests/sim/sim_vm.h"
#include "tests/sim/sim_xmlrpc.h"

#define ASYNC_MAX 100 /* threads that may be queued: TOO_MANY_PENDING_TASKS */

static const struct sim_method *const tables[] = {
    sim_session_methods,  sim_task_methods, sim_event_methods, sim_vm_methods,
    sim_snapshot_methods, sim_vdi_methods,  sim_vbd_methods,   sim_misc_methods,
};

/* A call on its way. */
struct run {
    struct sim_call call;
    char *method;
    struct sim_value *args;
    const struct sim_method *fn; /* or, when NULL: */
    struct sim_generic generic;
    char about[SIM_REF_MAX]; /* the object of the first argument */
};

struct reply {
    struct sim_value *result, *failure;
    bool bare;    /* system.listMethods */
    bool not_run; /* a fault ends it before the work */
    bool close;   /* no answer */
    bool page;    /* HTTP 500 */
    bool garbage; /* half of the body */
};

static const struct sim_method *find_method(const char *name)
{
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
        for (const struct sim_method *m = tables[i]; m->name; m++)
            if (strcmp(m->name, name) == 0)
                return m;
    return NULL;
}

/* Has it a twin that works as a task? Written methods have, but for those of
 * sessions and events; generated ones have not. */
static bool has_async(const struct sim_method *m)
{
    return m && strncmp(m->name, "session.", 8) != 0 &&
           strncmp(m->name, "event.", 6) != 0 &&
           strncmp(m->name, "task.", 5) != 0;
}

static struct sim_value *list_methods(const struct sim_schema *schema)
{
    struct sim_value *set = sim_value_texts("system.listMethods", NULL);

    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
        for (const struct sim_method *m = tables[i]; m->name; m++) {
            sim_value_add_text(set, m->name);
            if (has_async(m))
                sim_value_add(set, sim_value_textf("Async.%s", m->name));
        }
    sim_generic_names(schema, set);
    return set;
}

static void run_free(struct run *r)
{
    free(r->method);
    sim_value_free(r->args);
    sim_value_free(r->call.failure);
    free(r);
}

/* With the lock. */
static void run_where(struct run *r, struct sim_where *out)
{
    struct sim_object *o = sim_db_find(r->call.db, NULL, r->about);

    sim_pool_where(r->call.pool, r->call.host, o, out);
    out->method = r->call.method;
}

/* Faults that make the work itself fail or wait. With the lock; true: the
 * failure is set. */
static bool run_faults(struct run *r)
{
    static const char *const busy[] = {"VM.snapshot", "VM.destroy",
                                       "VDI.destroy"};
    struct sim_faults *f = r->call.pool->sim->faults;
    struct sim_hit hit = {NULL};
    struct sim_where where;

    run_where(r, &where);
    if (sim_fault_hit(f, "rpc_delay", &where, &hit)) {
        uint64_t ms = (uint64_t)sim_fault_int(&hit, "ms", 0);

        sim_fault_release(&hit);
        sim_db_unlock(r->call.db);
        sim_pool_sleep(ms);
        sim_db_lock(r->call.db);
        run_where(r, &where);
    }
    if (sim_fault_hit(f, "rpc_error", &where, &hit)) {
        sim_call_fail_take(&r->call, sim_fault_error(&hit, "INTERNAL_ERROR"));
        sim_fault_release(&hit);
        return true;
    }
    where.named = true;
    for (size_t i = 0; i < sizeof(busy) / sizeof(busy[0]); i++)
        where.named &= strcmp(busy[i], r->call.method) != 0;
    if (sim_fault_hit(f, "other_operation_in_progress", &where, NULL)) {
        char op[SIM_REF_MAX];
        const char *dot = strchr(r->call.method, '.');
        char *cls =
            sim_mem_dup_n(r->call.method, (size_t)(dot - r->call.method));

        sim_db_new_ref(op);
        sim_call_fail(&r->call, "OTHER_OPERATION_IN_PROGRESS", cls, r->about,
                      "export", op, NULL);
        free(cls);
        return true;
    }
    return false;
}

/* With the lock. */
static struct sim_value *run_now(struct run *r)
{
    struct sim_value *result;

    if (run_faults(r))
        return NULL;
    result =
        r->fn ? r->fn->fn(&r->call) : sim_generic_run(&r->call, &r->generic);
    if (r->call.failure) {
        sim_value_free(result);
        return NULL;
    }
    return result;
}

static void *async_thread(void *arg)
{
    struct run *r = arg;
    struct sim_pool *pool = r->call.pool;
    struct sim_value *result, *failure;

    sim_db_lock(pool->db);
    result = run_now(r);
    failure = r->call.failure;
    r->call.failure = NULL;
    sim_db_unlock(pool->db);
    sim_task_end(r->call.host, r->call.task, r->call.method, r->about, result,
                 failure);
    run_free(r);
    pool->async_running--;
    return NULL;
}

/* With the lock: the task, and the thread that works on it. Takes r. */
static struct sim_value *run_async(struct run *r, struct sim_value **failure)
{
    struct sim_pool *pool = r->call.pool;
    struct sim_faults *f = pool->sim->faults;
    struct sim_hit hit = {NULL};
    struct sim_where where;
    struct sim_object *task;
    struct sim_value *ref;
    pthread_attr_t attr;
    pthread_t thread;
    char *label;

    run_where(r, &where);
    if (pool->async_running >= ASYNC_MAX ||
        sim_fault_hit(f, "too_many_pending_tasks", &where, &hit)) {
        sim_fault_release(&hit);
        *failure = sim_value_texts("TOO_MANY_PENDING_TASKS", NULL);
        run_free(r);
        return NULL;
    }
    label = sim_mem_printf("Async.%s", r->call.method);
    task = sim_task_new(pool, label, r->call.session, r->call.host->ref);
    free(label);
    snprintf(r->call.task, sizeof(r->call.task), "%s", task->ref);
    ref = sim_value_text(task->ref);
    pool->async_running++;
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    if (pthread_create(&thread, &attr, async_thread, r) != 0) {
        pool->async_running--;
        *failure = sim_value_texts("TOO_MANY_PENDING_TASKS", NULL);
        sim_value_free(ref);
        ref = NULL;
        run_free(r);
    }
    pthread_attr_destroy(&attr);
    return ref;
}

/* ---- before the work: who asks, whom, and may they ---- */

static struct sim_value *failure_of(struct sim_call *c)
{
    struct sim_value *f = c->failure;

    c->failure = NULL;
    return f;
}

static struct sim_value *count_mismatch(const char *method, unsigned expected,
                                        size_t got)
{
    struct sim_value *f =
        sim_value_texts("MESSAGE_PARAMETER_COUNT_MISMATCH", method, NULL);

    sim_value_add(f, sim_value_textf("%u", expected));
    sim_value_add(f, sim_value_textf("%zu", got));
    return f;
}

/* With the lock: is this host asked in vain, or the session dead? */
static bool check_host(struct run *r, struct sim_value **failure)
{
    struct sim_call *c = &r->call;
    struct sim_faults *f = c->pool->sim->faults;
    struct sim_host *master = sim_pool_coordinator(c->pool);
    struct sim_hit hit = {NULL};
    struct sim_where where;

    run_where(r, &where);
    if (sim_fault_hit(f, "host_still_booting", &where, NULL)) {
        *failure = sim_value_texts("HOST_STILL_BOOTING", NULL);
        return false;
    }
    if (sim_fault_hit(f, "host_is_slave", &where, &hit)) {
        *failure = sim_value_texts(
            "HOST_IS_SLAVE", sim_fault_text(&hit, "address", master->address),
            NULL);
        sim_fault_release(&hit);
        return false;
    }
    if (master != c->host) {
        *failure = sim_value_texts("HOST_IS_SLAVE", master->address, NULL);
        return false;
    }
    return true;
}

static bool check_session(struct run *r, enum sim_role role,
                          struct sim_value **failure)
{
    struct sim_call *c = &r->call;
    struct sim_object *s;
    struct sim_where where;

    run_where(r, &where);
    s = sim_session_check(c->pool, c->session);
    if (s &&
        sim_fault_hit(c->pool->sim->faults, "session_invalid", &where, NULL)) {
        sim_session_destroy(c->pool, s);
        s = NULL;
    }
    if (!s) {
        *failure = sim_value_texts("SESSION_INVALID", c->session, NULL);
        return false;
    }
    sim_db_set(c->db, s, "last_active", sim_value_now());
    if (sim_session_role(s) < role) {
        *failure = sim_value_texts("RBAC_PERMISSION_DENIED", c->method,
                                   "No permission in user session", NULL);
        return false;
    }
    return true;
}

/* Fill in who answers; false: nobody, and *failure says why. */
static bool resolve(struct run *r, struct sim_value **failure)
{
    const char *name = r->call.method;
    bool login = strcmp(name, "session.login_with_password") == 0;
    size_t got = r->args->count;
    unsigned min, max;

    r->fn = find_method(name);
    if ((r->method != name && !has_async(r->fn)) ||
        (!r->fn &&
         !sim_generic_find(sim_db_schema(r->call.db), name, &r->generic))) {
        *failure = sim_value_texts("MESSAGE_METHOD_UNKNOWN", r->method, NULL);
        return false;
    }
    min = r->fn ? r->fn->min : r->generic.args;
    max = r->fn ? r->fn->max : r->generic.args;
    if (!login) {
        min++;
        max++;
    }
    if (got < min || got > max) {
        *failure = count_mismatch(name, max, got);
        return false;
    }
    if (!login) {
        snprintf(r->call.session, sizeof(r->call.session), "%s",
                 sim_value_str(r->args->items[0], ""));
        sim_value_free(r->args->items[0]);
        r->args->count--;
        memmove(r->args->items, r->args->items + 1,
                r->args->count * sizeof(*r->args->items));
    }
    snprintf(r->about, sizeof(r->about), "%s",
             sim_value_str(sim_value_at(r->args, 0), ""));
    return true;
}

static void count_call(struct sim_pool *pool, const char *method)
{
    int64_t n = 0;

    pthread_mutex_lock(&pool->lock);
    sim_value_to_int(sim_value_get(pool->rpc_counts, method), &n);
    sim_value_put(pool->rpc_counts, method, sim_value_int(n + 1));
    pthread_mutex_unlock(&pool->lock);
}

/* With the lock. */
static void transport_faults(struct run *r, struct reply *out)
{
    struct sim_faults *f = r->call.pool->sim->faults;
    struct sim_hit hit = {NULL};
    struct sim_where where;

    run_where(r, &where);
    out->page = out->not_run = sim_fault_hit(f, "rpc_500", &where, NULL);
    out->garbage = sim_fault_hit(f, "rpc_garbage", &where, NULL);
    if (sim_fault_hit(f, "rpc_close", &where, &hit)) {
        out->close = true;
        out->not_run |= !sim_fault_bool(&hit, "executed");
        sim_fault_release(&hit);
    }
}

/* Does an Async. call fail at once? With the lock. */
static bool at_once(struct run *r, struct sim_value **failure)
{
    struct sim_faults *f = r->call.pool->sim->faults;
    struct sim_hit hit = {NULL};
    struct sim_where where;

    run_where(r, &where);
    where.at_once = true;
    if (!sim_fault_hit(f, "rpc_error", &where, &hit))
        return false;
    *failure = sim_fault_error(&hit, "INTERNAL_ERROR");
    sim_fault_release(&hit);
    return true;
}

/* Takes method and args. */
static void run_call(struct sim_host *host, char *method,
                     struct sim_value *args, struct reply *out)
{
    struct run *r = sim_mem_new(sizeof(*r));
    bool async = strncmp(method, "Async.", 6) == 0, login;

    r->method = method;
    r->args = args;
    r->call.pool = host->pool;
    r->call.host = host;
    r->call.db = host->pool->db;
    r->call.method = method + (async ? 6 : 0);
    r->call.args = args;
    count_call(host->pool, method);
    if (strcmp(method, "system.listMethods") == 0) {
        out->result = list_methods(sim_db_schema(r->call.db));
        out->bare = true;
        run_free(r);
        return;
    }
    sim_db_lock(host->pool->db);
    login = strcmp(method, "session.login_with_password") == 0;
    if (resolve(r, &out->failure)) {
        transport_faults(r, out);
        if (!out->not_run && check_host(r, &out->failure) &&
            (login || check_session(r, r->fn ? r->fn->role : r->generic.role,
                                    &out->failure))) {
            if (!async) {
                out->result = run_now(r);
                out->failure = failure_of(&r->call);
            } else if (!at_once(r, &out->failure)) {
                out->result = run_async(r, &out->failure);
                r = NULL;
            }
        }
    }
    sim_db_unlock(host->pool->db);
    if (r)
        run_free(r);
}

/* ---- the two encodings ---- */

static bool send_reply(struct sim_conn *c, const struct sim_request *r,
                       const char *type, struct buf *body,
                       const struct reply *reply, enum sim_conn_end *how)
{
    char *extra = NULL;
    bool ok;

    *how = SIM_CONN_CLOSE;
    if (reply->close) {
        *how = SIM_CONN_CUT;
        return false;
    }
    if (reply->page) {
        sim_http_error(c, 500, "INTERNAL_ERROR: [ xensim ]", NULL);
        return false;
    }
    if (reply->garbage)
        body->len /= 2;
    if (reply->failure &&
        strcmp(reply->failure->items[0]->text, "HOST_IS_SLAVE") == 0)
        extra = sim_misc_thumbprint(c->host->pool, r);
    ok = sim_http_answer(c, r, type, extra ? extra : "", body->data, body->len);
    free(extra);
    return ok && r->keep_alive;
}

static bool serve_json(struct sim_conn *c, const struct sim_request *r,
                       const char *text, size_t len, enum sim_conn_end *how)
{
    struct sim_jsonrpc call;
    struct reply reply = {0};
    struct buf body;
    bool ok;

    if (!sim_jsonrpc_read(text, len, &call)) {
        sim_http_error(c, 500, "INTERNAL_ERROR: [ JSON ]", NULL);
        return false;
    }
    run_call(c->host, sim_mem_dup(call.method), sim_value_copy(call.args),
             &reply);
    buf_init(&body, SIZE_MAX / 2);
    if (reply.result || reply.failure)
        sim_jsonrpc_write_response(&body, &call, reply.result, reply.failure);
    sim_mem_check(&body);
    ok = send_reply(c, r, "application/json", &body, &reply, how);
    buf_fini(&body);
    sim_value_free(reply.result);
    sim_value_free(reply.failure);
    sim_jsonrpc_fini(&call);
    return ok;
}

static bool serve_xml(struct sim_conn *c, const struct sim_request *r,
                      const char *text, size_t len, enum sim_conn_end *how)
{
    struct sim_value *args = NULL;
    struct reply reply = {0};
    struct buf body;
    char *method = NULL;
    bool ok;

    if (!sim_xmlrpc_read_call(text, len, &method, &args)) {
        sim_http_error(c, 500, "INTERNAL_ERROR: [ XML ]", NULL);
        return false;
    }
    run_call(c->host, method, args, &reply);
    buf_init(&body, SIZE_MAX / 2);
    if (reply.bare)
        sim_xmlrpc_write_bare(&body, reply.result);
    else if (reply.result || reply.failure)
        sim_xmlrpc_write_response(&body, reply.result, reply.failure);
    sim_mem_check(&body);
    ok = send_reply(c, r, "text/xml", &body, &reply, how);
    buf_fini(&body);
    sim_value_free(reply.result);
    sim_value_free(reply.failure);
    return ok;
}

bool sim_rpc_serve(struct sim_conn *c, const struct sim_request *r,
                   enum sim_conn_end *how)
{
    char *body;
    bool ok;

    *how = SIM_CONN_CLOSE;
    if (r->encoded || !r->has_length || r->length > SIM_HTTP_RPC_MAX) {
        sim_http_error(c, r->has_length && !r->encoded ? 413 : 500,
                       "INTERNAL_ERROR: [ content-length ]", NULL);
        return false;
    }
    body = sim_mem_new(r->length + 1);
    if (!sim_conn_read_full(c, body, r->length)) {
        free(body);
        return false;
    }
    if (strncmp(r->path, "/jsonrpc", 8) == 0)
        ok = serve_json(c, r, body, r->length, how);
    else
        ok = serve_xml(c, r, body, r->length, how);
    free(body);
    return ok;
}
