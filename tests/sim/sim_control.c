/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_control.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/parse.h"
#include "tests/sim/sim_http.h"
#include "tests/sim/sim_jsonrpc.h"
#include "tests/sim/sim_mem.h"
#include "tests/sim/sim_state.h"
#include "tests/sim/sim_vdi.h"

#define HEAD_MAX 16384
#define BODY_MAX (64u << 20)
#define PIECE (1u << 20)

struct sim_pool *sim_control_pool(struct sim *sim, const struct json *body,
                                  struct err *err)
{
    const char *name = json_text(json_get(body, "pool"), NULL);
    struct sim_pool *pool = name ? sim_pool_find(sim, name) : &sim->pools[0];

    if (!name && sim->pool_count > 1)
        pool = NULL;
    if (!pool)
        err_set(err, ERR_NOT_FOUND, 0,
                name ? "no pool '%s'" : "which pool? (%s)",
                name ? name : "there are several");
    return pool;
}

struct sim_object *sim_control_object(struct sim_pool *pool,
                                      const struct json *body, const char *key,
                                      const char *cls, struct err *err)
{
    const char *name = json_text(json_get(body, key), NULL);
    struct sim_object *o = name ? sim_db_find_any(pool->db, cls, name) : NULL;

    if (!o)
        err_set(err, ERR_NOT_FOUND, 0, "no %s '%s'", cls, name ? name : "");
    return o;
}

struct sim_object *sim_control_vdi(struct sim_pool *pool,
                                   const struct json *body, struct err *err)
{
    const char *device = json_text(json_get(body, "device"), NULL);
    const struct sim_value *vbds;
    struct sim_object *vm, *vbd, *best = NULL;

    if (json_get(body, "vdi"))
        return sim_control_object(pool, body, "vdi", "VDI", err);
    vm = sim_control_object(pool, body, "vm", "VM", err);
    if (!vm)
        return NULL;
    vbds = sim_db_get(vm, "VBDs");
    for (size_t i = 0; i < vbds->count; i++) {
        vbd = sim_db_find(pool->db, "VBD", vbds->items[i]->text);
        if (!vbd || strcmp(sim_db_str(vbd, "type"), "CD") == 0)
            continue;
        if (device && strcmp(sim_db_str(vbd, "userdevice"), device) != 0)
            continue;
        if (!best || strcmp(sim_db_str(vbd, "userdevice"),
                            sim_db_str(best, "userdevice")) < 0)
            best = vbd;
    }
    if (best)
        best = sim_db_ref(pool->db, best, "VDI");
    if (!best)
        err_set(err, ERR_NOT_FOUND, 0, "no disk '%s'", device ? device : "");
    return best;
}

struct json *sim_control_ok(void)
{
    struct json *j = json_new_object();

    json_set_bool(j, "ok", true);
    return j;
}

/* ---- faults and counters ---- */

static struct json *fault_set(struct sim *sim, const struct json *body,
                              struct err *err)
{
    struct json *j;
    uint64_t id;

    if (sim_fault_set(sim->faults, body, &id, err) != ERR_OK)
        return NULL;
    j = json_new_object();
    json_set_int(j, "id", (int64_t)id);
    return j;
}

static struct json *fault_clear(struct sim *sim, const struct json *body,
                                struct err *err)
{
    struct json *j = json_new_object();
    size_t n = sim_fault_clear(sim->faults,
                               (uint64_t)json_int(json_get(body, "id"), 0),
                               json_text(json_get(body, "name"), NULL));

    (void)err;
    json_set_int(j, "cleared", (int64_t)n);
    return j;
}

static struct json *reset(struct sim *sim, const struct json *body,
                          struct err *err)
{
    (void)body;
    (void)err;
    sim_fault_clear(sim->faults, 0, NULL);
    sim_state_zero_counters(sim);
    return sim_control_ok();
}

static const struct sim_control_verb own_verbs[] = {
    {"fault", fault_set},
    {"fault/clear", fault_clear},
    {"reset", reset},
    {NULL, NULL},
};

/* ---- answers ---- */

static bool answer_json(struct sim_conn *c, struct json *j, bool ok)
{
    size_t len = 0;
    char *text = json_dump(j, false, &len);
    char *head =
        sim_mem_printf("HTTP/1.1 %s\r\nContent-Length: %zu\r\nContent-Type: "
                       "application/json\r\n\r\n",
                       ok ? "200 OK" : "400 Bad Request", text ? len : 0);
    bool sent = sim_conn_write(c, head, strlen(head)) &&
                (!text || sim_conn_write(c, text, len));

    json_free(j);
    free(text);
    free(head);
    return sent;
}

static bool answer_error(struct sim_conn *c, const struct err *err)
{
    struct json *j = json_new_object();

    json_set_text(j, "error", err->text);
    return answer_json(c, j, false);
}

/* Query parameters as a body would say them. */
static struct json *query_json(const struct sim_request *r)
{
    struct json *j = json_new_object();

    for (size_t i = 0; i < r->query->count; i++) {
        const char *text = sim_value_str(r->query->items[i], "");
        uint64_t n;

        if (strcmp(r->query->keys[i], "device") != 0 &&
            parse_u64(text, 0, INT64_MAX, &n))
            json_set_int(j, r->query->keys[i], (int64_t)n);
        else
            json_set_text(j, r->query->keys[i], text);
    }
    return j;
}

static bool send_disk(struct sim_conn *c, struct sim_disk *d, uint64_t offset,
                      uint64_t len)
{
    char *head = sim_mem_printf(
        "HTTP/1.1 200 OK\r\nContent-Length: %llu\r\nContent-Type: "
        "application/octet-stream\r\n\r\n",
        (unsigned long long)len);
    uint8_t *piece = sim_mem_new(PIECE);
    bool ok = sim_conn_write(c, head, strlen(head));
    struct err err;

    while (ok && len > 0) {
        size_t n = len < PIECE ? (size_t)len : PIECE;

        ok = sim_disk_read(d, piece, offset, n, &err) == ERR_OK &&
             sim_conn_write(c, piece, n);
        offset += n;
        len -= n;
    }
    free(piece);
    free(head);
    return ok;
}

static bool get_disk(struct sim *sim, struct sim_conn *c, const struct json *q)
{
    struct err err = {0};
    struct sim_pool *pool = sim_control_pool(sim, q, &err);
    struct sim_disk *disk = NULL;
    struct sim_object *vdi;
    uint64_t size, offset, len;
    bool ok;

    if (pool) {
        sim_db_lock(pool->db);
        vdi = sim_control_vdi(pool, q, &err);
        if (vdi)
            disk = sim_disk_hold(sim_vdi_disk(vdi));
        sim_db_unlock(pool->db);
    }
    if (!disk)
        return answer_error(c, &err);
    size = sim_disk_size(disk);
    offset = (uint64_t)json_int(json_get(q, "offset"), 0);
    if (offset > size)
        offset = size;
    len = (uint64_t)json_int(json_get(q, "length"), (int64_t)(size - offset));
    if (len > size - offset)
        len = size - offset;
    ok = send_disk(c, disk, offset, len);
    sim_disk_drop(disk);
    return ok;
}

static bool get_records(struct sim *sim, struct sim_conn *c,
                        const struct json *q)
{
    struct err err = {0};
    struct sim_pool *pool = sim_control_pool(sim, q, &err);
    struct json *j;

    j = pool
            ? sim_state_records(pool, json_text(json_get(q, "class"), ""), &err)
            : NULL;
    return j ? answer_json(c, j, true) : answer_error(c, &err);
}

static bool serve_get(struct sim *sim, struct sim_conn *c,
                      const struct sim_request *r)
{
    const char *what = r->path + 5;
    struct json *q;
    struct err err;
    bool ok;

    if (strcmp(what, "state") == 0)
        return answer_json(c, sim_state_json(sim), true);
    if (strcmp(what, "counters") == 0)
        return answer_json(c, sim_state_counters(sim), true);
    if (strcmp(what, "faults") == 0)
        return answer_json(c, sim_fault_list(sim->faults), true);
    q = query_json(r);
    if (strcmp(what, "disk") == 0) {
        ok = get_disk(sim, c, q);
    } else if (strcmp(what, "records") == 0) {
        ok = get_records(sim, c, q);
    } else {
        err_set(&err, ERR_NOT_FOUND, 0, "no such path");
        ok = answer_error(c, &err);
    }
    json_free(q);
    return ok;
}

static sim_control_fn *find_verb(const struct sim_control_verb *verbs,
                                 const char *path)
{
    for (; verbs->path; verbs++)
        if (strcmp(verbs->path, path) == 0)
            return verbs->fn;
    return NULL;
}

static bool serve_post(struct sim *sim, struct sim_conn *c,
                       const struct sim_request *r)
{
    sim_control_fn *fn = find_verb(own_verbs, r->path + 5);
    struct json *body = NULL, *answer = NULL;
    struct err err = {0};
    char *text;
    bool ok;

    if (!fn)
        fn = find_verb(sim_control_do_verbs, r->path + 5);
    if (r->length > BODY_MAX)
        return false;
    text = sim_mem_new(r->length + 1);
    if (!sim_conn_read_full(c, text, r->length)) {
        free(text);
        return false;
    }
    if (!fn)
        err_set(&err, ERR_NOT_FOUND, 0, "no such path");
    else if (json_parse(r->length ? text : "{}", r->length ? r->length : 2,
                        &body, &err) == ERR_OK)
        answer = fn(sim, body, &err);
    ok = answer ? answer_json(c, answer, true) : answer_error(c, &err);
    json_free(body);
    free(text);
    return ok;
}

void sim_control_serve(struct sim *sim, int fd)
{
    struct sim_request r;
    struct sim_conn c;
    bool more = true;

    sim_conn_open(&c, NULL, fd, false);
    while (more) {
        more = sim_http_read(&c, HEAD_MAX, &r) == SIM_HTTP_OK &&
               strncmp(r.path, "/sim/", 5) == 0;
        if (more && strcmp(r.method, "GET") == 0)
            more = serve_get(sim, &c, &r);
        else if (more)
            more = serve_post(sim, &c, &r);
        more = more && r.keep_alive;
        sim_http_fini(&r);
    }
    sim_conn_end(&c, SIM_CONN_CLOSE);
}
