/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "gateway/api_pool.h"

/* Of the hosts that a probe found, the one with this address. */
static const struct json *found_host(const struct json *hosts,
                                     const char *address)
{
    for (size_t i = 0; i < json_count(hosts); i++) {
        const struct json *h = json_at(hosts, i);

        if (strcmp(json_text(json_get(h, "address"), ""), address) == 0)
            return h;
    }
    return NULL;
}

static bool is_given(const struct api_pool_work *w, const char *address)
{
    for (size_t i = 0; i < w->probe.host_count; i++)
        if (strcmp(w->hosts[i], address) == 0)
            return true;
    return false;
}

static const char *dial_of(const struct api_pool_work *w, const char *uuid)
{
    for (size_t i = 0; i < w->probe.dial_count; i++)
        if (strcmp(w->dials[i].key, uuid) == 0)
            return w->dials[i].value;
    return "";
}

/* Trusted by its own certificate: pinned. Not trusted: seen. Trusted by a CA:
 * neither. */
static void host_fill(const struct api_pool_work *w, const struct json *found,
                      struct catalog_pool_host *out)
{
    uint8_t sha256[32];
    bool has = bytes_unhex(json_text(json_get(found, "sha256"), ""), sha256,
                           sizeof(sha256));
    bool trusted = json_bool(json_get(found, "trusted"), false);

    out->uuid = json_text(json_get(found, "uuid"), "");
    out->name = json_text(json_get(found, "name"), "");
    out->dial = dial_of(w, out->uuid);
    if (!has || w->probe.ca_pem[0])
        return;
    if (trusted) {
        out->pinned = true;
        memcpy(out->pin, sha256, sizeof(sha256));
    } else {
        out->seen = true;
        memcpy(out->seen_pin, sha256, sizeof(sha256));
    }
}

static size_t hosts_fill(const struct api_pool_work *w,
                         const struct json *found,
                         struct catalog_pool_host *out)
{
    size_t count = 0;

    for (size_t i = 0; i < w->probe.host_count; i++) {
        out[count].address = w->hosts[i];
        out[count].entry = true;
        host_fill(w, found_host(found, w->hosts[i]), &out[count++]);
    }
    for (size_t i = 0; i < json_count(found); i++) {
        const struct json *h = json_at(found, i);
        const char *address = json_text(json_get(h, "address"), "");

        if (is_given(w, address) || count == CATALOG_POOL_HOSTS_MAX)
            continue;
        out[count].address = address;
        host_fill(w, h, &out[count++]);
    }
    return count;
}

struct twin {
    const char *uuid;
    char name[CATALOG_NAME];
};

static bool on_pool(void *ctx, const struct catalog_pool *p)
{
    struct twin *t = ctx;

    if (strcmp(p->pool_uuid, t->uuid) != 0)
        return true;
    snprintf(t->name, sizeof(t->name), "%s", p->name);
    return false;
}

/* One pool under two names would be backed up twice. */
static enum err_code check_twin(struct catalog *c, const char *uuid,
                                struct err *err)
{
    char cursor[CATALOG_CURSOR] = "";
    struct catalog_page page = {.cursor = cursor, .limit = 1000};
    struct twin t = {.uuid = uuid};
    enum err_code rc;

    do {
        rc = catalog_pool_each(c, &page, on_pool, &t, err);
        memcpy(cursor, page.next, sizeof(cursor));
    } while (rc == ERR_OK && !t.name[0] && cursor[0]);
    if (rc == ERR_OK && t.name[0])
        rc = err_set(err, ERR_CONFLICT, 0,
                     "this pool is there already, as '%s'", t.name);
    return rc;
}

enum err_code api_pool_store(struct api_call *call, struct catalog *c,
                             struct err *err)
{
    const struct api_pool_work *w = call->work;
    const struct json *found = json_get(call->answer, "hosts");
    struct catalog_pool p = {
        .name = api_call_text(call, "name"),
        .user = w->probe.user,
        .ca_pem = w->probe.ca_pem,
        .pool_uuid = json_text(
            json_get(json_get(call->answer, "pool"), "uuid"), ""),
    };
    enum err_code rc = ERR_OK;

    p.hosts = calloc(CATALOG_POOL_HOSTS_MAX, sizeof(*p.hosts));
    if (!p.hosts)
        return err_set(err, ERR_NOMEM, 0, "out of memory");
    p.host_count = hosts_fill(w, found, p.hosts);
    if (p.pool_uuid[0])
        rc = check_twin(c, p.pool_uuid, err);
    if (rc == ERR_OK)
        rc = catalog_pool_add(c, &p, w->probe.password, &call->id, err);
    free(p.hosts);
    return rc;
}
