/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_misc.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim_mem.h"
#include "tests/sim/sim_sr.h"

char *sim_misc_thumbprint(struct sim_pool *pool, const struct sim_request *r)
{
    const char *asked =
        sim_http_header(r, "x-xenapi-request-host-certificate-thumbprint");
    struct sim_host *master;
    char text[32 * 3] = "";

    if (!asked || strcmp(asked, "sha-256:master") != 0)
        return NULL;
    sim_db_lock(pool->db);
    master = sim_pool_coordinator(pool);
    sim_db_unlock(pool->db);
    pthread_mutex_lock(&master->lock);
    for (size_t i = 0; i < 32; i++)
        snprintf(text + 3 * i, 4, "%c%c%s",
                 toupper((unsigned char)master->fingerprint[2 * i]),
                 toupper((unsigned char)master->fingerprint[2 * i + 1]),
                 i < 31 ? ":" : "");
    pthread_mutex_unlock(&master->lock);
    return sim_mem_printf(
        "x-xenapi-response-host-certificate-thumbprint: %s\r\n", text);
}

static struct sim_value *host_servertime(struct sim_call *c)
{
    return sim_call_object(c, 0, "host") ? sim_value_now() : NULL;
}

static struct sim_value *host_enable(struct sim_call *c)
{
    struct sim_object *h = sim_call_object(c, 0, "host");

    if (!h)
        return NULL;
    sim_db_set_bool(c->db, h, "enabled", strcmp(c->method, "host.enable") == 0);
    return sim_call_void();
}

static struct sim_value *sr_scan(struct sim_call *c)
{
    struct sim_object *sr = sim_call_object(c, 0, "SR");

    if (!sr)
        return NULL;
    sim_sr_update(c->pool, sr);
    return sim_call_void();
}

static struct sim_value *network_create(struct sim_call *c)
{
    const struct sim_value *record = sim_value_at(c->args, 0), *v;
    struct sim_object *n = sim_db_create(c->db, "network", NULL, NULL);
    char *bridge = sim_mem_printf("xapi%zu", sim_db_count(c->db, "network"));

    sim_db_set_text(c->db, n, "name_label",
                    sim_value_get_str(record, "name_label", ""));
    sim_db_set_text(c->db, n, "name_description",
                    sim_value_get_str(record, "name_description", ""));
    sim_db_set_text(c->db, n, "bridge", bridge);
    v = sim_value_get(record, "other_config");
    if (v && v->kind == SIM_MAP)
        sim_db_set(c->db, n, "other_config", sim_value_copy(v));
    free(bridge);
    return sim_value_text(n->ref);
}

static struct sim_value *network_destroy(struct sim_call *c)
{
    struct sim_object *n = sim_call_object(c, 0, "network");

    if (!n)
        return NULL;
    if (sim_db_get(n, "VIFs")->count > 0)
        return sim_call_fail(c, "NETWORK_CONTAINS_VIF",
                             sim_db_get(n, "VIFs")->items[0]->text, NULL);
    if (sim_db_get(n, "PIFs")->count > 0)
        return sim_call_fail(c, "NETWORK_CONTAINS_PIF",
                             sim_db_get(n, "PIFs")->items[0]->text, NULL);
    sim_db_destroy(c->db, n);
    return sim_call_void();
}

static struct sim_value *network_purpose(struct sim_call *c)
{
    struct sim_object *n = sim_call_object(c, 0, "network"), *o;
    const char *purpose = sim_call_text(c, 1);
    const char *other = strcmp(purpose, "nbd") == 0 ? "insecure_nbd" : "nbd";
    struct sim_value *set;

    if (!n)
        return NULL;
    set = sim_value_copy(sim_db_get(n, "purpose"));
    sim_value_remove(set, purpose);
    if (strcmp(c->method, "network.add_purpose") == 0) {
        sim_value_add_text(set, purpose);
        for (size_t i = 0; (o = sim_db_at(c->db, "network", i)); i++)
            if (sim_value_has(sim_db_get(o, "purpose"), other))
                sim_call_fail(c, "NETWORK_INCOMPATIBLE_PURPOSES", purpose,
                              other, NULL);
    }
    if (c->failure) {
        sim_value_free(set);
        return NULL;
    }
    sim_db_set(c->db, n, "purpose", set);
    return sim_call_void();
}

static void contents_free(void *extra)
{
    sim_value_free(extra);
}

struct sim_object *sim_misc_vtpm(struct sim_pool *pool, const char *vm_ref,
                                 const char *contents)
{
    struct sim_object *t = sim_db_create(pool->db, "VTPM", NULL, NULL);

    sim_db_set_text(pool->db, t, "VM", vm_ref);
    t->extra = sim_value_text(contents);
    t->extra_free = contents_free;
    return t;
}

static struct sim_value *vtpm_create(struct sim_call *c)
{
    struct sim_object *vm = sim_call_object(c, 0, "VM"), *t;
    bool unique = false;

    if (!vm)
        return NULL;
    if (sim_db_get(vm, "VTPMs")->count > 0)
        return sim_call_fail(c, "VTPM_MAX_AMOUNT_REACHED", "1", NULL);
    sim_value_to_bool(sim_value_at(c->args, 1), &unique);
    t = sim_misc_vtpm(c->pool, vm->ref, "");
    sim_db_set_bool(c->db, t, "is_unique", unique);
    return sim_value_text(t->ref);
}

static struct sim_value *vtpm_get_contents(struct sim_call *c)
{
    struct sim_object *t = sim_call_object(c, 0, "VTPM");

    return t ? sim_value_copy(t->extra) : NULL;
}

static struct sim_value *vtpm_set_contents(struct sim_call *c)
{
    struct sim_object *t = sim_call_object(c, 0, "VTPM");

    if (!t)
        return NULL;
    sim_value_free(t->extra);
    t->extra = sim_value_text(sim_call_text(c, 1));
    return sim_call_void();
}

/* Rows without any life of their own. */
static struct sim_value *row_destroy(struct sim_call *c)
{
    const char *dot = strchr(c->method, '.');
    char *cls = sim_mem_dup_n(c->method, (size_t)(dot - c->method));
    struct sim_object *o = sim_call_object(c, 0, cls);

    free(cls);
    if (!o)
        return NULL;
    sim_db_destroy(c->db, o);
    return sim_call_void();
}

static struct sim_value *message_create(struct sim_call *c)
{
    struct sim_object *m = sim_db_create(c->db, "message", NULL, NULL);
    int64_t priority = 0;

    sim_value_to_int(sim_value_at(c->args, 1), &priority);
    sim_db_set_text(c->db, m, "name", sim_call_text(c, 0));
    sim_db_set_int(c->db, m, "priority", priority);
    sim_db_set_text(c->db, m, "cls", sim_call_text(c, 2));
    sim_db_set_text(c->db, m, "obj_uuid", sim_call_text(c, 3));
    sim_db_set_text(c->db, m, "body", sim_call_text(c, 4));
    sim_db_set(c->db, m, "timestamp", sim_value_now());
    return sim_value_text(m->ref);
}

static struct sim_value *vusb_create(struct sim_call *c)
{
    struct sim_object *vm = sim_call_object(c, 0, "VM"), *u;

    if (!vm)
        return NULL;
    u = sim_db_create(c->db, "VUSB", NULL, NULL);
    sim_db_set_text(c->db, u, "VM", vm->ref);
    sim_db_set_text(c->db, u, "USB_group", sim_call_text(c, 1));
    return sim_value_text(u->ref);
}

const struct sim_method sim_misc_methods[] = {
    {"host.get_servertime", host_servertime, SIM_READ_ONLY, 1, 1},
    {"host.enable", host_enable, SIM_POOL_OPERATOR, 1, 1},
    {"host.disable", host_enable, SIM_POOL_OPERATOR, 1, 1},
    {"SR.scan", sr_scan, SIM_VM_POWER_ADMIN, 1, 1},
    {"SR.update", sr_scan, SIM_POOL_OPERATOR, 1, 1},
    {"network.create", network_create, SIM_POOL_OPERATOR, 1, 1},
    {"network.destroy", network_destroy, SIM_POOL_OPERATOR, 1, 1},
    {"network.add_purpose", network_purpose, SIM_POOL_ADMIN, 2, 2},
    {"network.remove_purpose", network_purpose, SIM_POOL_ADMIN, 2, 2},
    {"VTPM.create", vtpm_create, SIM_VM_ADMIN, 2, 2},
    {"VTPM.destroy", row_destroy, SIM_VM_ADMIN, 1, 1},
    {"VTPM.get_contents", vtpm_get_contents, SIM_VM_ADMIN, 1, 1},
    {"VTPM.set_contents", vtpm_set_contents, SIM_VM_ADMIN, 2, 2},
    {"message.create", message_create, SIM_POOL_OPERATOR, 5, 5},
    {"message.destroy", row_destroy, SIM_POOL_OPERATOR, 1, 1},
    {"VUSB.create", vusb_create, SIM_VM_ADMIN, 2, 3},
    {"VUSB.destroy", row_destroy, SIM_VM_ADMIN, 1, 1},
    {NULL, NULL, SIM_READ_ONLY, 0, 0},
};
