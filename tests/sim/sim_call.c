/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_call.h"

#include <stdarg.h>
#include <string.h>

#include "base/buf.h"
#include "tests/sim/sim_mem.h"

static const char *const role_names[] = {
    "read-only",      "vm-operator",   "vm-admin",
    "vm-power-admin", "pool-operator", "pool-admin",
};

struct sim_value *sim_call_fail_take(struct sim_call *c,
                                     struct sim_value *failure)
{
    if (c->failure)
        sim_value_free(failure); /* the first one counts */
    else
        c->failure = failure;
    return NULL;
}

struct sim_value *sim_call_fail(struct sim_call *c, const char *code, ...)
{
    struct sim_value *set = sim_value_texts(code, NULL);
    va_list ap;

    va_start(ap, code);
    for (const char *t = va_arg(ap, const char *); t;
         t = va_arg(ap, const char *))
        sim_value_add_text(set, t);
    va_end(ap);
    return sim_call_fail_take(c, set);
}

struct sim_value *sim_call_fail_io(struct sim_call *c, const struct err *err)
{
    if (err->code == ERR_QUOTA)
        return sim_call_fail(c, "SR_BACKEND_FAILURE_44", "",
                             "There is insufficient space", "", NULL);
    return sim_call_fail(c, "VDI_IO_ERROR", "Device I/O errors", NULL);
}

struct sim_value *sim_call_void(void)
{
    return sim_value_text("");
}

const char *sim_call_text(const struct sim_call *c, size_t i)
{
    return sim_value_str(sim_value_at(c->args, i), "");
}

struct sim_object *sim_call_object(struct sim_call *c, size_t i,
                                   const char *cls)
{
    const char *ref = sim_call_text(c, i);
    struct sim_object *o = sim_db_find(c->db, cls, ref);

    if (!o)
        sim_call_fail(c, "HANDLE_INVALID", cls, ref, NULL);
    return o;
}

bool sim_call_busy(struct sim_call *c, struct sim_object *o)
{
    const struct sim_value *ops = sim_db_get(o, "current_operations");

    for (size_t i = 0; i < ops->count; i++) {
        if (strcmp(ops->keys[i], c->task) == 0)
            continue;
        sim_call_fail(c, "OTHER_OPERATION_IN_PROGRESS", o->cls->name, o->ref,
                      ops->items[i]->text, ops->keys[i], NULL);
        return true;
    }
    return false;
}

int sim_call_role(const char *name)
{
    for (size_t i = 0; i < sizeof(role_names) / sizeof(role_names[0]); i++)
        if (strcmp(role_names[i], name) == 0)
            return (int)i;
    return -1;
}

const char *sim_call_role_name(enum sim_role role)
{
    return role_names[role];
}

char *sim_call_error_text(const struct sim_value *failure)
{
    struct buf b;
    size_t len;

    buf_init(&b, SIZE_MAX / 2);
    buf_addf(&b, "%s: [ ", failure->items[0]->text);
    for (size_t i = 1; i < failure->count; i++)
        buf_addf(&b, "%s%s", i > 1 ? "; " : "", failure->items[i]->text);
    buf_add_text(&b, " ]");
    sim_mem_check(&b);
    return (char *)buf_detach(&b, &len);
}
