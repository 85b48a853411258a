/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_jsonrpc.h"

#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim_mem.h"

static void write_text(struct buf *out, const char *text)
{
    buf_add_u8(out, '"');
    for (const char *p = text; *p; p++) {
        unsigned char c = (unsigned char)*p;

        if (c == '"' || c == '\\')
            buf_addf(out, "\\%c", c);
        else if (c == '\n')
            buf_add_text(out, "\\n");
        else if (c < 0x20)
            buf_addf(out, "\\u%04x", c);
        else
            buf_add_u8(out, c);
    }
    buf_add_u8(out, '"');
}

void sim_jsonrpc_write(struct buf *out, const struct sim_value *v)
{
    bool map = v->kind == SIM_MAP;

    switch (v->kind) {
    case SIM_TEXT:
    case SIM_DATE:
        write_text(out, v->text);
        return;
    case SIM_INT:
    case SIM_I4:
        buf_addf(out, "%lld", (long long)v->i);
        return;
    case SIM_BOOL:
        buf_add_text(out, v->b ? "true" : "false");
        return;
    case SIM_REAL:
        buf_addf(out, "%.16g", v->real);
        return;
    case SIM_SET:
    case SIM_MAP:
        break;
    }
    buf_add_u8(out, map ? '{' : '[');
    for (size_t i = 0; i < v->count; i++) {
        if (i)
            buf_add_u8(out, ',');
        if (map) {
            write_text(out, v->keys[i]);
            buf_add_u8(out, ':');
        }
        sim_jsonrpc_write(out, v->items[i]);
    }
    buf_add_u8(out, map ? '}' : ']');
}

struct sim_value *sim_jsonrpc_value(const struct json *j)
{
    struct sim_value *v;
    const struct json *item;

    switch (json_kind(j)) {
    case JSON_NULL:
        return sim_value_text("");
    case JSON_BOOL:
        return sim_value_bool(json_bool(j, false));
    case JSON_INT:
        return sim_value_int(json_int(j, 0));
    case JSON_REAL:
        return sim_value_real(json_double(j, 0));
    case JSON_TEXT:
        return sim_value_text(json_text(j, ""));
    case JSON_ARRAY:
        v = sim_value_set();
        for (size_t i = 0; i < json_count(j); i++)
            sim_value_add(v, sim_jsonrpc_value(json_at(j, i)));
        return v;
    case JSON_OBJECT:
        v = sim_value_map();
        for (size_t i = 0; i < json_count(j); i++) {
            const char *key = json_key_at(j, i, &item);

            sim_value_put(v, key, sim_jsonrpc_value(item));
        }
        return v;
    }
    return sim_value_text("");
}

bool sim_jsonrpc_read(const char *text, size_t len, struct sim_jsonrpc *out)
{
    struct json *j = NULL;
    const struct json *method, *params, *id;
    struct err err;
    struct buf b;
    bool ok = false;

    if (json_parse(text, len, &j, &err) != ERR_OK)
        return false;
    method = json_get(j, "method");
    params = json_get(j, "params");
    id = json_get(j, "id");
    if (!method || json_kind(method) != JSON_TEXT ||
        (params && json_kind(params) != JSON_ARRAY))
        goto out;
    out->v2 = strcmp(json_text(json_get(j, "jsonrpc"), ""), "2.0") == 0;
    out->method = sim_mem_dup(json_text(method, ""));
    out->args = params ? sim_jsonrpc_value(params) : sim_value_set();
    if (!id || json_kind(id) == JSON_NULL) {
        out->id = sim_mem_dup("null");
    } else {
        struct sim_value *v = sim_jsonrpc_value(id);
        size_t n;

        buf_init(&b, 64 * 1024);
        sim_jsonrpc_write(&b, v);
        sim_value_free(v);
        sim_mem_check(&b);
        out->id = (char *)buf_detach(&b, &n);
    }
    ok = true;
out:
    json_free(j);
    return ok;
}

void sim_jsonrpc_fini(struct sim_jsonrpc *call)
{
    free(call->method);
    free(call->id);
    sim_value_free(call->args);
}

static void write_error_v2(struct buf *out, const struct sim_value *failure)
{
    buf_add_text(out, "\"error\":{\"code\":1,\"message\":");
    sim_jsonrpc_write(out, failure->items[0]);
    buf_add_text(out, ",\"data\":[");
    for (size_t i = 1; i < failure->count; i++) {
        if (i > 1)
            buf_add_u8(out, ',');
        sim_jsonrpc_write(out, failure->items[i]);
    }
    buf_add_text(out, "]}");
}

void sim_jsonrpc_write_response(struct buf *out, const struct sim_jsonrpc *call,
                                const struct sim_value *result,
                                const struct sim_value *failure)
{
    buf_add_u8(out, '{');
    if (call->v2)
        buf_add_text(out, "\"jsonrpc\":\"2.0\",");
    if (failure && call->v2) {
        write_error_v2(out, failure);
    } else if (failure) {
        buf_add_text(out, "\"result\":null,\"error\":");
        sim_jsonrpc_write(out, failure);
    } else {
        buf_add_text(out, "\"result\":");
        sim_jsonrpc_write(out, result);
        if (!call->v2)
            buf_add_text(out, ",\"error\":null");
    }
    buf_addf(out, ",\"id\":%s}", call->id);
}
