/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "gateway/api_handlers.h"
#include "gateway/api_start.h"
#include "gateway/api_stream.h"

#define DISKS_MAX 255

static bool one_of(const char *text, const char *a, const char *b)
{
    return !text[0] || strcmp(text, a) == 0 || strcmp(text, b) == 0;
}

/* A stream has no place to map anything to. */
static enum err_code check_stream(const struct api_call *call,
                                  struct err *err)
{
    static const char *const others[] = {"sr", "network", "mac", "uuid",
                                         "name", "start", "dry_run"};
    const char *output = api_call_text(call, "output");
    int64_t disk = json_int(json_get(call->body, "disk"), -1);
    bool has_disk = api_call_has(call, "disk");

    for (size_t i = 0; i < BYTES_COUNT(others); i++)
        if (api_call_has(call, others[i]))
            return err_set(err, ERR_ARGUMENT, 0,
                           "'%s' goes with a restore to a pool", others[i]);
    if (!one_of(output, "xva", "raw"))
        return err_set(err, ERR_ARGUMENT, 0, "output: wanted xva or raw");
    if (strcmp(output, "raw") == 0 && (disk < 0 || disk > DISKS_MAX))
        return err_set(err, ERR_ARGUMENT, 0, "disk: wanted 0 to %d",
                       DISKS_MAX);
    if (strcmp(output, "xva") == 0 && has_disk)
        return err_set(err, ERR_ARGUMENT, 0,
                       "a disk alone comes as raw, not as an XVA");
    if (!one_of(api_call_text(call, "checksum"), "xxhash", "sha1"))
        return err_set(err, ERR_ARGUMENT, 0,
                       "checksum: wanted xxhash or sha1");
    return ERR_OK;
}

static enum err_code restore_check(const struct api_call *call,
                                   struct err *err)
{
    bool to_pool = api_call_text(call, "pool")[0] != '\0';

    if (to_pool == (api_call_text(call, "output")[0] != '\0'))
        return err_set(err, ERR_ARGUMENT, 0,
                       "a restore goes either to a 'pool' or to an 'output'");
    if (!to_pool)
        return check_stream(call, err);
    if (api_call_has(call, "disk") || api_call_has(call, "checksum"))
        return err_set(err, ERR_ARGUMENT, 0,
                       "'disk' and 'checksum' go with 'output'");
    if (!one_of(api_call_text(call, "mac"), "new", "keep"))
        return err_set(err, ERR_ARGUMENT, 0, "mac: wanted new or keep");
    if (!one_of(api_call_text(call, "uuid"), "new", "keep"))
        return err_set(err, ERR_ARGUMENT, 0, "uuid: wanted new or keep");
    for (const char *c = api_call_text(call, "name"); *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            return err_set(err, ERR_ARGUMENT, 0,
                           "name: holds a control character");
    return authz_check(&call->who, AUTHZ_RESTORE_POOL, err);
}

static struct json *map_or_empty(const struct api_call *call,
                                 const char *name)
{
    return api_call_has(call, name) ? json_clone(json_get(call->body, name))
                                    : json_new_object();
}

static const char *or_new(const char *text)
{
    return text[0] ? text : "new";
}

static struct json *params_pool(const struct api_call *call)
{
    struct api_doc d;

    api_doc_begin(&d);
    api_doc_take(&d, "sr", map_or_empty(call, "sr"));
    api_doc_take(&d, "network", map_or_empty(call, "network"));
    api_doc_text(&d, "mac", or_new(api_call_text(call, "mac")));
    api_doc_text(&d, "uuid", or_new(api_call_text(call, "uuid")));
    api_doc_text_or_null(&d, "name", api_call_text(call, "name"));
    api_doc_bool(&d, "start", api_call_bool(call, "start", false));
    api_doc_bool(&d, "dry_run", api_call_bool(call, "dry_run", false));
    return api_doc_end(&d);
}

static struct json *params_stream(const struct api_call *call)
{
    struct api_doc d;

    api_doc_begin(&d);
    api_doc_text(&d, "output", api_call_text(call, "output"));
    if (api_call_has(call, "disk"))
        api_doc_int(&d, "disk", json_int(json_get(call->body, "disk"), 0));
    if (api_call_text(call, "checksum")[0])
        api_doc_text(&d, "checksum", api_call_text(call, "checksum"));
    return api_doc_end(&d);
}

static enum err_code on_place(struct api_call *call, struct catalog *c,
                              struct err *err)
{
    const char *pool = api_call_text(call, "pool");
    struct api_start *s = call->work;
    struct catalog_pool p = {0};
    struct json *params = NULL;
    enum err_code rc;

    rc = api_start_point(call, c, api_call_text(call, "point"),
                         api_call_text(call, "tenant"),
                         api_call_text(call, "vault"), err);
    if (rc == ERR_OK && pool[0])
        rc = catalog_pool_get(c, pool, &p, err);
    if (rc == ERR_OK) {
        s->pool_id = p.id;
        params = pool[0] ? params_pool(call) : params_stream(call);
        s->params = json_dump(params, false, NULL);
        if (!s->params)
            rc = err_set(err, ERR_NOMEM, 0, "out of memory");
    }
    json_free(params);
    catalog_pool_fini(&p);
    return rc;
}

static void on_placed(struct api_call *call)
{
    struct api_job_spec spec;

    if (api_call_text(call, "pool")[0]) {
        api_start_go(call);
        return;
    }
    spec = api_start_spec(call->work);
    api_stream_start(call, &spec);
}

void api_restore_start(struct api_call *call)
{
    struct err err;

    api_call_object(call, api_call_text(call, "point"), 0, "");
    if (restore_check(call, &err) != ERR_OK)
        api_call_fail(call, &err);
    else if (api_start_new(call, "restore"))
        api_call_ask(call, on_place, on_placed);
}
