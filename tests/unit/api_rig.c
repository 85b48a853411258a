/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "tenants/catalog_job.h"
#include "tenants/catalog_point.h"
#include "tenants/catalog_rule.h"
#include "tenants/catalog_token.h"
#include "tests/unit/api_rig.h"

/* What a backend may answer, in full. */
static const struct {
    const char *what, *doc;
} defaults[] = {
    {"status", "{\"gateway\":\"gw-1\",\"uptime_s\":1,\"memory_bytes\":1,"
               "\"memory_used\":0,\"memory_peak\":0,"
               "\"loop_delay_p99_ms\":0,\"jobs_queued\":0,"
               "\"jobs_running\":0}"},
    {"pool_probe",
     "{\"hosts\":[{\"address\":\"h1\",\"uuid\":\"u1\",\"name\":\"n1\","
     "\"sha256\":\"00000000000000000000000000000000000000000000000000000000"
     "000000aa\",\"trusted\":true,\"coordinator\":true,\"error\":null}],"
     "\"pool\":{\"uuid\":\"pu\",\"name\":\"x\",\"version\":\"8.3\"}}"},
    {"pool_test", "{\"ok\":true,\"checks\":[{\"name\":\"login\",\"ok\":true,"
                  "\"text\":\"as root\"}]}"},
    {"pool_backlog", "[{\"sr\":\"u2\",\"name\":\"fast\",\"disks\":31,"
                     "\"limit\":20,\"jobs\":2}]"},
    {"vault_create", "{\"vault_id\":\"" RIG_VAULT_ID "\","
                     "\"recovery_key_file\":\"cairn key 1\\n\"}"},
    {"vault_open_existing", "{\"vault_id\":\"" RIG_VAULT_ID "\","
                            "\"public_key\":\"\",\"state\":\"ready\","
                            "\"points\":2}"},
    {"vault_test", "{\"ok\":true,\"state\":\"ready\",\"checks\":[]}"},
    {"key_list", "[{\"tag\":\"t\",\"recipient\":\"gateway\",\"what\":"
                 "\"root\",\"key_id\":\"k\",\"object\":\"keys/k/t\"}]"},
    {"key_test", "{\"opens\":true,\"keys\":3}"},
    {"key_grant", "{\"tag\":\"t\",\"wraps\":3}"},
    {"key_export", "{\"key_file\":\"cairn key 1\\n\",\"tag\":\"t\","
                   "\"wraps\":3}"},
    {"point_refresh", "{\"points\":2}"},
};

static const char *doc_of(const struct api_rig *r, const char *what)
{
    if (r->doc || !r->defaults)
        return r->doc;
    for (size_t i = 0; i < BYTES_COUNT(defaults); i++)
        if (strcmp(defaults[i].what, what) == 0)
            return defaults[i].doc;
    return NULL;
}

static struct api_rig_owed *owe(struct api_rig *r, const char *what, void *ctx,
                                void (*fire)(struct timer *t))
{
    struct api_rig_owed *o = NULL;
    const char *doc = doc_of(r, what);
    size_t at = strlen(r->asked);
    struct err err;

    /* Not allocated: a test that makes allocations fail does not mean this. */
    for (size_t i = 0; i < BYTES_COUNT(r->slots) && !o; i++)
        if (!r->slots[i].rig)
            o = &r->slots[i];
    assert_non_null(o);
    memset(o, 0, sizeof(*o));
    snprintf(r->asked + at, sizeof(r->asked) - at, "%s;", what);
    o->rig = r;
    o->ctx = ctx;
    o->err = r->err;
    if (doc && r->err.code == ERR_OK &&
        json_parse(doc, strlen(doc), &o->doc, &err) != ERR_OK)
        o->err = err;
    r->owed++;
    timer_start(r->net.loop, &o->timer, r->delay_ms, fire);
    return o;
}

static void owed_free(struct api_rig_owed *o)
{
    o->rig->owed--;
    o->rig = NULL;
}

static void on_json(struct timer *t)
{
    struct api_rig_owed *o = (struct api_rig_owed *)t;

    o->json_done(o->ctx, &o->err, o->doc);
    owed_free(o);
}

static void owe_json(struct api_rig *r, const char *what,
                     api_json_done_fn *done, void *done_ctx)
{
    owe(r, what, done_ctx, on_json)->json_done = done;
}

static void do_status(void *ctx, api_json_done_fn *done, void *done_ctx)
{
    owe_json(ctx, "status", done, done_ctx);
}

static enum err_code on_add(struct catalog_call *ask, struct catalog *c,
                            struct err *err)
{
    struct api_rig_owed *o =
        (struct api_rig_owed *)((char *)ask -
                                offsetof(struct api_rig_owed, ask));

    return catalog_job_add(c, &o->job, o->job_id, err);
}

static void on_added(struct catalog_call *ask, const struct err *err)
{
    struct api_rig_owed *o =
        (struct api_rig_owed *)((char *)ask -
                                offsetof(struct api_rig_owed, ask));

    o->job_done(o->ctx, err, err->code == ERR_OK ? o->job_id : NULL);
    owed_free(o);
}

static void on_job(struct timer *t)
{
    struct api_rig_owed *o = (struct api_rig_owed *)t;

    if (o->err.code != ERR_OK) {
        o->job_done(o->ctx, &o->err, NULL);
        owed_free(o);
        return;
    }
    o->ask.run = on_add;
    o->ask.done = on_added;
    catalog_call_start(o->rig->door, &o->ask);
}

static void do_job_start(void *ctx, const struct api_job_spec *spec,
                         api_job_done_fn *done, void *done_ctx)
{
    struct api_rig *r = ctx;
    struct api_rig_owed *o = owe(r, spec->kind, done_ctx, on_job);

    json_free(o->doc);
    o->doc = NULL;
    snprintf(r->params, sizeof(r->params), "%s", spec->params);
    r->asked_id = spec->vault_id;
    snprintf(o->texts[0], sizeof(o->texts[0]), "%s", spec->vm_uuid);
    snprintf(o->texts[1], sizeof(o->texts[1]), "%s", spec->vm_name);
    snprintf(o->texts[2], sizeof(o->texts[2]), "%s", spec->point);
    snprintf(o->texts[3], sizeof(o->texts[3]), "%s", spec->params);
    o->job = (struct catalog_job){.kind = spec->kind,
                                  .tenant_id = spec->tenant_id,
                                  .pool_id = spec->pool_id,
                                  .vault_id = spec->vault_id,
                                  .vm_uuid = o->texts[0],
                                  .vm_name = o->texts[1],
                                  .point = o->texts[2],
                                  .params = o->texts[3],
                                  .retry_of = ""};
    o->job_done = done;
}

static void do_job_cancel(void *ctx, const char *job_id,
                          api_json_done_fn *done, void *done_ctx)
{
    (void)job_id;
    owe_json(ctx, "job_cancel", done, done_ctx);
}

static void on_gone(void *ctx)
{
    ((struct api_rig *)ctx)->gone++;
}

bool api_rig_lend(struct api_stream *s, const void *data, size_t len)
{
    struct http_piece *piece = rig_piece(data, len);
    bool lent = api_stream_lend(s, piece);

    if (!lent)
        piece->done(piece);
    return lent;
}

static void on_piece_out(struct http_piece *piece)
{
    (void)piece;
}

static void give_stream(struct api_rig *r)
{
    struct err ok = {0};

    api_stream_begin(r->stream, "0000000000000000", 4);
    r->piece = (struct http_piece){"data", 4, on_piece_out, NULL};
    api_stream_lend(r->stream, &r->piece);
    api_stream_end(r->stream, &ok, EXIT_OK);
}

static void do_stream_open(void *ctx, const struct api_stream_spec *spec)
{
    const struct api_stream_events events = {on_gone, ctx};
    struct api_rig *r = ctx;

    snprintf(r->params, sizeof(r->params), "%s", spec->job.params);
    r->asked_id = spec->job.vault_id;
    r->stream = spec->stream;
    api_stream_attach(spec->stream, &events);
    if (r->err.code != ERR_OK)
        api_stream_end(spec->stream, &r->err, EXIT_DAMAGE);
    else if (r->defaults)
        give_stream(r);
    else
        loop_stop(r->net.loop); /* the test goes on with it */
}

static void do_pool_probe(void *ctx, const struct api_pool_probe *probe,
                          api_json_done_fn *done, void *done_ctx)
{
    struct api_rig *r = ctx;

    snprintf(r->params, sizeof(r->params), "%zu hosts, user %s, %zu pins",
             probe->host_count, probe->user, probe->pin_count);
    r->asked_id = probe->pool_id;
    owe_json(r, "pool_probe", done, done_ctx);
}

static void do_pool_test(void *ctx, int64_t pool_id, api_json_done_fn *done,
                         void *done_ctx)
{
    ((struct api_rig *)ctx)->asked_id = pool_id;
    owe_json(ctx, "pool_test", done, done_ctx);
}

static void do_pool_backlog(void *ctx, int64_t pool_id,
                            api_json_done_fn *done, void *done_ctx)
{
    ((struct api_rig *)ctx)->asked_id = pool_id;
    owe_json(ctx, "pool_backlog", done, done_ctx);
}

static void note(struct api_rig *r, const char *what, int64_t id)
{
    size_t at = strlen(r->asked);

    r->asked_id = id;
    snprintf(r->asked + at, sizeof(r->asked) - at, "%s;", what);
}

static void do_pool_changed(void *ctx, int64_t pool_id)
{
    note(ctx, "pool_changed", pool_id);
}

static void do_vault_changed(void *ctx, int64_t vault)
{
    note(ctx, "vault_changed", vault);
}

static void on_vms(struct timer *t)
{
    struct api_rig_owed *o = (struct api_rig_owed *)t;
    struct api_vm_failure failure = {.pool = "west"};
    struct api_vm_set set = {.vms = o->rig->vms, .count = o->rig->vm_count};

    if (o->rig->pool_down) {
        err_set(&failure.err, ERR_UNREACHABLE, 0, "connection refused");
        set.failures = &failure;
        set.failure_count = 1;
    }
    o->vm_done(o->ctx, &o->err, o->err.code == ERR_OK ? &set : NULL);
    owed_free(o);
}

static void do_vm_list(void *ctx, int64_t pool_id, api_vm_done_fn *done,
                       void *done_ctx)
{
    struct api_rig *r = ctx;
    const char *doc = r->doc;

    r->doc = NULL;
    r->asked_id = pool_id;
    owe(r, "vm_list", done_ctx, on_vms)->vm_done = done;
    r->doc = doc;
}

#define VAULT_FN(name)                                                         \
    static void do_##name(void *ctx, int64_t vault, api_json_done_fn *done,    \
                          void *done_ctx)                                      \
    {                                                                          \
        ((struct api_rig *)ctx)->asked_id = vault;                             \
        owe_json(ctx, #name, done, done_ctx);                                  \
    }
VAULT_FN(vault_create)
VAULT_FN(vault_test)
VAULT_FN(key_list)
VAULT_FN(key_export)
VAULT_FN(point_refresh)

static void do_vault_open_existing(void *ctx,
                                   const struct api_vault_open *open,
                                   api_json_done_fn *done, void *done_ctx)
{
    struct api_rig *r = ctx;

    r->asked_id = open->vault;
    snprintf(r->params, sizeof(r->params), "%s|%s", open->key_file,
             open->vault_id);
    owe_json(r, "vault_open_existing", done, done_ctx);
}

static void do_key_test(void *ctx, int64_t vault, const char *key_file,
                        api_json_done_fn *done, void *done_ctx)
{
    struct api_rig *r = ctx;

    r->asked_id = vault;
    snprintf(r->params, sizeof(r->params), "%s", key_file);
    owe_json(r, "key_test", done, done_ctx);
}

static void do_key_grant(void *ctx, int64_t vault, const char *public_key,
                         api_json_done_fn *done, void *done_ctx)
{
    struct api_rig *r = ctx;

    r->asked_id = vault;
    snprintf(r->params, sizeof(r->params), "%s", public_key);
    owe_json(r, "key_grant", done, done_ctx);
}

static void rig_backend(struct api_rig *r)
{
    r->backend = (struct api_backend){
        .ctx = r,
        .status = do_status,
        .job_start = do_job_start,
        .job_cancel = do_job_cancel,
        .stream_open = do_stream_open,
        .pool_probe = do_pool_probe,
        .pool_test = do_pool_test,
        .pool_backlog = do_pool_backlog,
        .pool_changed = do_pool_changed,
        .vm_list = do_vm_list,
        .vault_create = do_vault_create,
        .vault_open_existing = do_vault_open_existing,
        .vault_test = do_vault_test,
        .vault_changed = do_vault_changed,
        .key_list = do_key_list,
        .key_test = do_key_test,
        .key_grant = do_key_grant,
        .key_export = do_key_export,
        .point_refresh = do_point_refresh,
    };
}

static void world_fill(struct api_rig_world *w)
{
    struct fixture *f = &w->rig.f;
    int64_t id;

    w->acme = fixture_tenant(f, "acme");
    w->globex = fixture_tenant(f, "globex");
    w->pool = fixture_pool(f, "east");
    w->acme_vault = fixture_vault(f, "acme", "main");
    w->globex_vault = fixture_vault(f, "globex", "main");
    assert_ok(f, catalog_vault_set_state(f->c, w->acme_vault,
                                         CATALOG_VAULT_READY, RIG_VAULT_ID, "",
                                         &f->err));
    assert_ok(f, catalog_vault_set_state(f->c, w->globex_vault,
                                         CATALOG_VAULT_READY,
                                         "b6cf46c72f1025063ca57acc80feee45",
                                         "", &f->err));
    assert_ok(f, catalog_token_add(f->c, "acme", "", 0, &id, w->acme_token,
                                   &f->err));
    assert_ok(f, catalog_token_add(f->c, "globex", "", 0, &id,
                                   w->globex_token, &f->err));
    assert_ok(f, catalog_rule_add(f->c, "acme", "east", RULE_NAME, "",
                                  "acme-*", &id, &f->err));
    assert_ok(f, catalog_rule_add(f->c, "globex", "east", RULE_NAME, "",
                                  "globex-*", &id, &f->err));
}

static const char *const vm_rows[][2] = {{RIG_VM_1, "acme-web"},
                                         {RIG_VM_2, "globex-db"},
                                         {RIG_VM_3, "stray"}};

int api_rig_setup(void **state)
{
    struct api_rig_world *w = test_malloc(sizeof(*w));
    struct api_rig *r = &w->rig;
    struct err err;

    memset(w, 0, sizeof(*w));
    fixture_begin(&r->f);
    assert_int_equal(fixture_open(&r->f, ":memory:"), ERR_OK);
    world_fill(w);
    for (size_t i = 0; i < BYTES_COUNT(vm_rows); i++)
        r->vms[r->vm_count++] = (struct api_vm){
            .rule = {.pool_id = w->pool, .uuid = vm_rows[i][0],
                     .name = vm_rows[i][1]},
            .pool = "east", .power_state = "Running", .disk_count = 1,
            .virtual_bytes = 1 << 20};
    rig_open(&r->net, 8);
    assert_int_equal(lane_new("catalog", 1, 4, &r->lane, &err), ERR_OK);
    assert_int_equal(catalog_call_door_new(r->net.loop, r->lane, r->f.c,
                                           &r->door, &err),
                     ERR_OK);
    rig_backend(r);
    assert_int_equal(api_new(&(struct api_opts){r->net.loop, r->door,
                                                &r->backend, "gw-1"},
                             &r->api, &err),
                     ERR_OK);
    snprintf(r->dir, sizeof(r->dir), "/tmp/cairn-api-XXXXXX");
    assert_non_null(mkdtemp(r->dir));
    snprintf(r->socket, sizeof(r->socket), "%s/s", r->dir);
    assert_int_equal(api_open(r->api,
                              &(struct api_listen){.unix_path = r->socket},
                              &err),
                     ERR_OK);
    *state = w;
    return 0;
}

static void on_closed(void *ctx)
{
    struct api_rig *r = ctx;

    api_free(r->api);
    r->api = NULL;
    loop_stop(r->net.loop);
}

int api_rig_teardown(void **state)
{
    struct api_rig_world *w = *state;
    struct api_rig *r = &w->rig;

    api_close(r->api, on_closed, r);
    while (r->api)
        loop_run(r->net.loop);
    while (r->owed > 0)
        rig_run_ms(&r->net, 5);
    rig_run(&r->net); /* calls that the server broke off */
    assert_int_equal(catalog_call_pending(r->door), 0);
    catalog_call_door_free(r->door);
    assert_true(lane_free(r->lane, 5000));
    json_free(r->answer);
    rig_fini(&r->call);
    rig_close(&r->net);
    catalog_close(r->f.c);
    seal_suite_free(r->f.suite);
    unlink(r->socket);
    assert_int_equal(rmdir(r->dir), 0);
    test_free(w);
    return 0;
}

void api_rig_begin(struct api_rig *r, struct rig_call *call,
                   const char *method, const char *path, const char *token,
                   const char *body)
{
    struct slice piece = {(const uint8_t *)body, body ? strlen(body) : 0};
    struct http_header headers[2] = {{"Content-Type", "application/json"}};
    struct http_transfer_opts opts;
    char url[512], bearer[128];

    snprintf(url, sizeof(url), "http://cairn/api/v1%s", path);
    snprintf(bearer, sizeof(bearer), "Bearer %s", token ? token : "");
    opts = rig_opts(call, method, url);
    opts.unix_path = r->socket;
    opts.headers = headers;
    opts.header_count = 1;
    if (token)
        headers[opts.header_count++] =
            (struct http_header){"Authorization", bearer};
    if (body) {
        opts.body = &piece;
        opts.body_slices = 1;
    }
    rig_start(&r->net, call, &opts);
    /* The body is borrowed until done: texts of tests live long enough, the
     * slice itself is copied by the start. */
}

static bool on_head(struct rig_call *c, int status)
{
    (void)c;
    (void)status;
    return true;
}

int api_rig_ask(struct api_rig *r, const char *method, const char *path,
                const char *token, const char *body)
{
    struct err err;

    r->asked[0] = '\0';
    r->call.on_head = on_head;
    api_rig_begin(r, &r->call, method, path, token, body);
    rig_run(&r->net);
    if (r->call.err.code != ERR_OK)
        fail_msg("%s %s: %s", method, path, r->call.err.text);
    json_free(r->answer);
    r->answer = NULL;
    if (r->call.body.len > 0 &&
        json_parse(r->call.body.data, r->call.body.len, &r->answer, &err) !=
            ERR_OK)
        fail_msg("%s %s: %s", method, path, err.text);
    return r->call.status;
}

const struct json *api_rig_at(struct api_rig *r, const char *path)
{
    const struct json *at = r->answer;
    char name[64];

    while (*path) {
        size_t len = strcspn(path, ".");

        assert_true(len < sizeof(name));
        memcpy(name, path, len);
        name[len] = '\0';
        at = json_kind(at) == JSON_ARRAY
                 ? json_at(at, strtoul(name, NULL, 10))
                 : json_get(at, name);
        if (!at)
            return NULL;
        path += len + (path[len] == '.');
    }
    return at;
}

const char *api_rig_text(struct api_rig *r, const char *path)
{
    const struct json *at = api_rig_at(r, path);

    if (!at)
        return "(absent)";
    return json_kind(at) == JSON_NULL ? "(null)" : json_text(at, "(no text)");
}

int64_t api_rig_int(struct api_rig *r, const char *path)
{
    return json_int(api_rig_at(r, path), -999);
}

void api_rig_point(struct api_rig *r, int64_t vault, const char *id,
                   const char *vm, const char *name, bool made_here)
{
    char object[96];
    struct catalog_point p = {
        .vault_id = vault, .name = object, .series = vm, .vm_uuid = vm,
        .vm_name = name, .pool = "east", .mode = "xva", .gateway = "gw-1",
        .disks = "[]", .made_here = made_here, .started_ms = 1000};

    snprintf(object, sizeof(object),
             "points/17c3a54779ee8ea567a56177b637fdf5/%s", id);
    assert_ok(&r->f, catalog_point_put(r->f.c, &p, &r->f.err));
}
