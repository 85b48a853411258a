/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_transfer.h"

#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim_mem.h"
#include "tests/sim/sim_session.h"
#include "tests/sim/sim_task.h"

void sim_transfer_where(struct sim_transfer *t, struct sim_where *out)
{
    sim_pool_where(t->pool, t->host, sim_db_find(t->pool->db, NULL, t->about),
                   out);
    out->method = strcmp(t->what, "export") == 0 ? "VM.export" : "VM.import";
}

static bool strikes(struct sim_transfer *t, const char *fault,
                    struct sim_hit *hit)
{
    char name[40];
    struct sim_where where;
    bool struck;

    snprintf(name, sizeof(name), "%s_%s", t->what, fault);
    sim_db_lock(t->pool->db);
    sim_transfer_where(t, &where);
    struck = sim_fault_hit(t->pool->sim->faults, name, &where, hit);
    sim_db_unlock(t->pool->db);
    return struck;
}

/* A session by reference, or by Basic authentication. */
static bool authenticate(struct sim_transfer *t)
{
    const char *ref = sim_http_param(t->request, "session_id");
    struct sim_value *made;
    bool known;

    if (ref) {
        sim_db_lock(t->pool->db);
        known = sim_session_check(t->pool, ref) != NULL;
        sim_db_unlock(t->pool->db);
        snprintf(t->session, sizeof(t->session), "%s", ref);
        return known;
    }
    if (!t->request->user)
        return false;
    made = sim_session_login(t->host, t->request->user, t->request->password,
                             "http");
    if (!made)
        return false;
    snprintf(t->session, sizeof(t->session), "%s", made->text);
    t->own_session = true;
    sim_value_free(made);
    return true;
}

static bool permitted(struct sim_transfer *t)
{
    struct sim_object *s;
    bool yes;

    sim_db_lock(t->pool->db);
    s = sim_session_check(t->pool, t->session);
    yes = s && sim_session_role(s) >= SIM_VM_ADMIN;
    sim_db_unlock(t->pool->db);
    return yes;
}

static void redirect_by_fault(struct sim_transfer *t, struct sim_hit *hit)
{
    const char *url = sim_fault_text(hit, "url", NULL);
    const char *to = sim_fault_text(hit, "to", NULL);
    size_t next = (t->host->index + 1) % t->pool->host_count;
    struct sim_host *h = to ? sim_pool_find_host(t->pool, to) : NULL;

    if (url)
        sim_http_redirect(t->conn, url);
    else
        sim_transfer_redirect(t, h ? h : &t->pool->hosts[next]);
    sim_fault_release(hit);
}

bool sim_transfer_begin(struct sim_transfer *t)
{
    struct sim_hit hit = {NULL};
    char realm[16];
    struct sim_value *denied;

    snprintf(realm, sizeof(realm), "VM.%s", t->what);
    if (strikes(t, "401", NULL) || !authenticate(t)) {
        sim_http_error(t->conn, 401, NULL, realm);
        return false;
    }
    if (strikes(t, "403", NULL) || !permitted(t)) {
        denied = sim_value_texts("RBAC_PERMISSION_DENIED", realm,
                                 "No permission in user session", NULL);
        sim_http_error(t->conn, 403, NULL, NULL);
        sim_transfer_task(t);
        sim_transfer_end_task(t, NULL, denied);
        return false;
    }
    if (strikes(t, "redirect", &hit)) {
        redirect_by_fault(t, &hit);
        return false;
    }
    return true;
}

void sim_transfer_task(struct sim_transfer *t)
{
    const char *given = sim_http_param(t->request, "task_id");
    struct sim_object *task = NULL;
    char label[24];

    if (*t->task)
        return;
    snprintf(label, sizeof(label), "VM.%s", t->what);
    sim_db_lock(t->pool->db);
    if (given)
        task = sim_db_find(t->pool->db, "task", given);
    if (!task)
        task = sim_task_new(t->pool, label, t->session, t->host->ref);
    snprintf(t->task, sizeof(t->task), "%s", task->ref);
    sim_db_set_text(t->pool->db, task, "resident_on", t->host->ref);
    sim_db_set(t->pool->db, task, "allowed_operations",
               sim_value_texts("cancel", "destroy", NULL));
    sim_db_set(t->pool->db, task, "progress", sim_value_real(0));
    sim_db_unlock(t->pool->db);
}

void sim_transfer_end_task(struct sim_transfer *t, struct sim_value *result,
                           struct sim_value *failure)
{
    char method[24];

    if (!*t->task) {
        sim_value_free(result);
        sim_value_free(failure);
        return;
    }
    snprintf(method, sizeof(method), "VM.%s", t->what);
    sim_task_end(t->host, t->task, method, t->about, result, failure);
}

void sim_transfer_fini(struct sim_transfer *t)
{
    struct sim_object *s;

    if (!t->own_session)
        return;
    sim_db_lock(t->pool->db);
    s = sim_session_check(t->pool, t->session);
    if (s)
        sim_session_destroy(t->pool, s);
    sim_db_unlock(t->pool->db);
}

void sim_transfer_redirect(struct sim_transfer *t, const struct sim_host *to)
{
    char port[8] = "", *url;

    if (t->pool->redirect_port && to->https_port != 443)
        snprintf(port, sizeof(port), ":%u", to->https_port);
    url = sim_mem_printf("https://%s%s%s%s", to->address, port,
                         t->request->path, t->request->query_text);
    sim_http_redirect(t->conn, url);
    free(url);
}
